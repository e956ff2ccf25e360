"""The lines of instruments: those of the Prometheus client, scrape after scrape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from collector.serve import instruments
from collector.serve.exposition import EOF, Format
from collector.serve.instruments import InstrumentLines

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module", autouse=True)
def _as_served() -> Iterator[None]:
    """``collector serve`` tells of no series when it began."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prometheus_client.metrics._use_created", False)
        yield


def as_the_client(registry: CollectorRegistry, format_: Format) -> bytes:
    """What the client itself writes, without the end of an answer."""
    if format_ is Format.TEXT:
        return generate_latest(registry)
    whole: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
    return whole.removesuffix(EOF)


def instruments_of_every_kind() -> tuple[CollectorRegistry, Counter, Gauge, Histogram]:
    """One of each kind that the service has."""
    registry = CollectorRegistry()
    counter = Counter("answers", 'What "answers" were\ngiven \\ made.', ["route", "status"], registry=registry)
    gauge = Gauge("queued", "Waiting.", registry=registry)
    return registry, counter, gauge, Histogram("seconds", "Time.", ["route"], buckets=(0.5, 2_500_000.0), registry=registry)


@given(TEXTS, st.floats())
def test_they_are_those_of_the_client(label: str, value: float) -> None:
    """Whatever a label or a value is, both formats are byte for byte what the client writes, also once lines are known."""
    registry, counter, gauge, histogram = instruments_of_every_kind()
    written = InstrumentLines()
    for amount in (1, 1_234_567.5):
        counter.labels(label, "200").inc(amount)
        histogram.labels(label).observe(amount)
        gauge.set(value)
        for format_ in Format:
            assert written.text(registry.collect(), format_).encode() == as_the_client(registry, format_)


def test_special_numbers_are_those_of_go() -> None:
    """Infinities, no number, and one that needs an exponent."""
    registry, _, gauge, _ = instruments_of_every_kind()
    for value in (math.inf, -math.inf, math.nan, 1e300, -1e300, 10_000_000):
        gauge.set(value)
        text = InstrumentLines().text(registry.collect(), Format.TEXT).encode()
        assert text == as_the_client(registry, Format.TEXT), value


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more series than there can be, the memory begins anew, and the lines stay right."""
    monkeypatch.setattr(instruments, "REMEMBERED_AT_MOST", 10)
    written = InstrumentLines()
    for number in range(50):
        metric = Metric("one", "One.", "gauge")
        metric.add_sample("one", {"of": str(number)}, number)
        assert f'one{{of="{number}"}} {number}.0\n' in written.text([metric], Format.TEXT)
    assert len(written._before) <= 11
