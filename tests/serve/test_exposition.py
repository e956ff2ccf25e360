"""Families as bytes: in the words of both formats, and whole when they are compressed."""

from __future__ import annotations

import gzip

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from collector.serve.exposition import EOF, Format, Sampled, answer, bodies, labelled, lines
from collector.serve.families import Family

GAUGE = Family("coderd_agents_up", "Agents.", ("username",))
COUNTER = Family("coderd_workspace_builds_total", "Builds.", ("status",))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def text_of(*sampled: Sampled, format_: Format = Format.TEXT) -> str:
    return bodies(sampled)[format_].plain.decode()


@given(TEXTS, st.floats(allow_nan=False, allow_infinity=False))
def test_every_label_and_value_comes_through(value: str, number: float) -> None:
    """Whatever text a label has, and whatever number, Prometheus reads the same: no text ends a label or a line."""
    text = text_of(Sampled(GAUGE, {labelled(("username",), (value,)): number}))
    (family,) = text_string_to_metric_families(text)
    (sample,) = family.samples
    assert (sample.labels, sample.value) == ({"username": value}, number)
    assert family.type == "gauge"


def test_a_counter_is_called_otherwise_in_openmetrics() -> None:
    """There the family's name has no _total, the sample's has."""
    counted = Sampled(COUNTER, {labelled(("status",), ("success",)): 3})
    text = text_of(counted, format_=Format.OPENMETRICS) + EOF.decode()
    (family,) = openmetrics_families(text)  # type: ignore[no-untyped-call]
    assert (family.name, family.type, family.samples[0].name) == ("coderd_workspace_builds", "counter", COUNTER.name)
    assert "# TYPE coderd_workspace_builds_total counter\n" in text_of(counted)


def test_a_counter_without_its_ending_is_none_in_openmetrics() -> None:
    """An agent may call a counter what it likes; the stricter format is not broken by it."""
    sampled = Sampled(Family("pty_connections", "…"), {"": 2}, "counter")
    (family,) = openmetrics_families(text_of(sampled, format_=Format.OPENMETRICS) + EOF.decode())  # type: ignore[no-untyped-call]
    assert family.type == "unknown"
    assert "# TYPE pty_connections counter\n" in text_of(sampled)


def test_a_family_without_a_series_is_described() -> None:
    """Who looks for it learns that there is such a metric, and what it means."""
    (family,) = text_string_to_metric_families(text_of(Sampled(GAUGE, {})))
    assert (family.name, family.type, family.documentation, family.samples) == (GAUGE.name, "gauge", "Agents.", [])


@given(st.lists(TEXTS, max_size=4), TEXTS)
def test_compressed_parts_are_one_answer(made: list[str], new: str) -> None:
    """Parts that were compressed one by one inflate as a single gzip member, which every client reads to its end."""
    parts = [bodies([Sampled(GAUGE, {labelled(("username",), (value,)): 1})])[Format.TEXT] for value in made]
    whole = answer(parts, new.encode(), compressed=False)
    assert whole == b"".join(part.plain for part in parts) + new.encode()
    assert gzip.decompress(answer(parts, new.encode(), compressed=True)) == whole


def test_what_is_new_is_written_as_what_is_made() -> None:
    """A family reads the same whether it is kept or changes with each scrape."""
    sampled = Sampled(COUNTER, {labelled(("status",), ("success",)): 3})
    for format_ in Format:
        assert lines([sampled], format_).encode() == bodies([sampled])[format_].plain
