"""Instruments of several processes as those of one: what a worker has counted, and the sums over all of them.

Counters and histograms of this service alone are added up. Gauges say of the main process how it is doing, and so do the
``process_*`` and ``python_*`` metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import structlog
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from collector.wire.frames import Counted, Instrument, Sample

log = structlog.get_logger(__name__)

SUMMED = ("counter", "histogram")
SERIES_AT_MOST = 20_000  # of one worker: ten times what the route table and the closed lists allow

Key = tuple[str, tuple[tuple[str, str], ...]]


def counted() -> Counted:
    """What this process has counted."""
    return Counted(
        tuple(
            Instrument(metric.name, tuple(Sample(each.name, each.labels, each.value) for each in metric.samples))
            for metric in REGISTRY.collect()
            if metric.name.startswith("collector_") and metric.type in SUMMED
        )
    )


class Sums:
    """What workers have counted: those that run, as of when they were last asked, and those that have ended."""

    def __init__(self) -> None:
        self._ended: dict[str, dict[Key, float]] = {}
        self._running: dict[int, Counted] = {}
        self._too_many: set[int] = set()  # workers of which that was said

    def keep(self, worker: int, said: Counted) -> None:
        """Take ``said`` in place of what ``worker`` said before."""
        series = sum(len(instrument.samples) for instrument in said.instruments)
        if series <= SERIES_AT_MOST:
            self._running[worker] = said
        elif worker not in self._too_many:
            self._too_many.add(worker)
            log.error("a worker counts too many series: what it counts is left out from now on", worker=worker, series=series)

    def end(self, worker: int) -> None:
        """Keep what ``worker`` said last: the next one with its number begins at 0, and a sum must not fall."""
        self._too_many.discard(worker)
        said = self._running.pop(worker, None)
        if said is not None:
            _add(self._ended, said)

    def of_all(self) -> dict[str, dict[Key, float]]:
        """Their sums, by the name of the instrument and then in its order."""
        sums = {name: dict(samples) for name, samples in self._ended.items()}
        for said in self._running.values():
            _add(sums, said)
        return sums


def _add(sums: dict[str, dict[Key, float]], said: Counted) -> None:
    for instrument in said.instruments:
        samples = sums.setdefault(instrument.name, {})
        for each in instrument.samples:
            key = each.name, tuple(each.labels.items())
            samples[key] = samples.get(key, 0.0) + each.value


def with_workers(own: Iterable[Metric], sums: Mapping[str, Mapping[Key, float]]) -> Iterator[Metric]:
    """``own`` with what the workers have counted added; series that they alone have come last."""
    for metric in own:
        added = sums.get(metric.name)
        yield metric if not added else _summed(metric, added)


def _summed(metric: Metric, added: Mapping[Key, float]) -> Metric:
    made = Metric(metric.name, metric.documentation, metric.type)
    rest = dict(added)
    for each in metric.samples:
        value = each.value + rest.pop((each.name, tuple(each.labels.items())), 0.0)
        made.add_sample(each.name, each.labels, value)
    for (name, labels), value in rest.items():
        made.add_sample(name, dict(labels), value)
    return made
