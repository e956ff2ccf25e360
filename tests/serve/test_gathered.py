"""Instruments of the main process and its workers as those of one."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from structlog.testing import capture_logs

from collector import workers
from collector.http.appkeys import IDENTITIES, SINK
from collector.persist.reception import Reception
from collector.serve.gathered import SERIES_AT_MOST, Sums, counted, with_workers
from collector.wire.frames import Ask, Counted, Instrument, Sample, frame_bytes
from tests.inside import Inside


def said(value: float, *, status: str = "200") -> Counted:
    """What a worker says that has answered so many requests."""
    labels = {"status": status}
    return Counted((Instrument("collector_requests", (Sample("collector_requests_total", labels, value),)),))


def own(registry: CollectorRegistry, sums: Sums) -> dict[tuple[str, str], float]:
    """What is told of the main process, whose instruments ``registry`` has, and its workers: by sample and labels."""
    told: list[Metric] = list(with_workers(registry.collect(), sums.of_all()))
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for metric in told
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@pytest.fixture
def registry() -> CollectorRegistry:
    """A main process that has answered two requests itself, one of them in a second."""
    registry = CollectorRegistry()
    Counter("collector_requests", "Requests.", ["status"], registry=registry).labels("200").inc(2)
    Histogram("collector_seconds", "Time.", buckets=(1.0,), registry=registry).observe(0.5)
    Gauge("collector_open", "Open.", registry=registry).set(7)
    return registry


def test_counters_are_sums(registry: CollectorRegistry) -> None:
    """Over the main process and all workers, series by series; one that workers alone have is there too."""
    sums = Sums()
    sums.keep(1, said(3))
    sums.keep(2, said(4))
    sums.keep(3, said(5, status="503"))
    told = own(registry, sums)
    assert (told["collector_requests_total", "200"], told["collector_requests_total", "503"]) == (9, 5)


def test_histograms_are_sums(registry: CollectorRegistry) -> None:
    """Each bucket, the count and the sum."""
    sums = Sums()
    samples = (
        Sample("collector_seconds_bucket", {"le": "1.0"}, 1),
        Sample("collector_seconds_bucket", {"le": "+Inf"}, 3),
        Sample("collector_seconds_count", {}, 3),
        Sample("collector_seconds_sum", {}, 40.25),
    )
    sums.keep(1, Counted((Instrument("collector_seconds", samples),)))
    told = own(registry, sums)
    assert {name: value for name, value in told.items() if name[0].startswith("collector_seconds")} == {
        ("collector_seconds_bucket", "1.0"): 2,
        ("collector_seconds_bucket", "+Inf"): 4,
        ("collector_seconds_count", ""): 4,
        ("collector_seconds_sum", ""): 40.75,
    }


def test_a_worker_says_nothing_of_gauges() -> None:
    """They are the main process's alone, and so are the metrics of the process and of Python; nothing is added to them."""
    gauge, counter = Gauge("collector_test_gathered_open", "Open."), Counter("collector_test_gathered", "Counted.")
    gauge.set(1)
    counter.inc()
    names = {instrument.name for instrument in counted().instruments}
    REGISTRY.unregister(gauge)
    REGISTRY.unregister(counter)
    assert "collector_test_gathered" in names
    assert "collector_test_gathered_open" not in names
    assert [name for name in names if not name.startswith("collector_")] == []


def test_gauges_stay_those_of_the_main_process(registry: CollectorRegistry) -> None:
    """Whatever workers have counted."""
    sums = Sums()
    sums.keep(1, said(3))
    assert own(registry, sums)["collector_open", ""] == 7


def test_the_newest_word_of_a_worker_counts(registry: CollectorRegistry) -> None:
    """It says all that it has counted each time; one that does not answer this time is told as of the last."""
    sums = Sums()
    sums.keep(1, said(3))
    sums.keep(2, said(10))
    sums.keep(1, said(4))
    assert own(registry, sums)["collector_requests_total", "200"] == 2 + 4 + 10


def test_a_worker_that_ends_lowers_no_sum(registry: CollectorRegistry) -> None:
    """The next one of its number begins at 0, and is added to what it said last."""
    sums = Sums()
    sums.keep(1, said(3))
    sums.end(1)
    assert own(registry, sums)["collector_requests_total", "200"] == 5
    sums.keep(1, said(1))
    assert own(registry, sums)["collector_requests_total", "200"] == 6


def test_an_end_without_a_word_changes_nothing(registry: CollectorRegistry) -> None:
    """A worker that never said anything, or has ended already."""
    sums = Sums()
    sums.end(1)
    assert own(registry, sums)["collector_requests_total", "200"] == 2


def test_too_many_series_are_left_out_and_said(registry: CollectorRegistry) -> None:
    """Once for each worker that runs; its last word that was not too long stays."""
    sums = Sums()
    sums.keep(1, said(3))
    many = tuple(Sample("collector_requests_total", {"status": str(number)}, 1) for number in range(SERIES_AT_MOST + 1))
    with capture_logs() as logs:
        for _ in range(2):
            sums.keep(1, Counted((Instrument("collector_requests", many),)))
    assert [(entry["log_level"], entry["worker"], entry["series"]) for entry in logs] == [("error", 1, SERIES_AT_MOST + 1)]
    assert own(registry, sums)["collector_requests_total", "200"] == 5


async def test_nobody_waits_for_a_worker_that_does_not_answer(
    inside: Inside, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked, and after a while told as of its last word: a scrape has the other processes in any case."""
    monkeypatch.setattr(workers, "ANSWER_WITHIN_S", 0.01)
    sums = Sums()
    worker = workers._Worker(1, sums, Reception(inside.app[SINK], inside.app[IDENTITIES].applied))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        await worker.link.over(ours)
        sums.keep(1, said(3))
        await worker.tell()
        assert theirs.recv(100) == frame_bytes(Ask())
        assert own(registry, sums)["collector_requests_total", "200"] == 5
        worker.link.cut()
        await worker.gone()
