"""What the client of Prometheus has collected -> lines of both formats.

A process has some three hundred samples, and from scrape to scrape their values alone change. The client's own writer makes
every name and label anew, which is most of what a scrape takes when nothing else has changed: here they are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from collector.serve.exposition import Format, labelled

REMEMBERED_AT_MOST = 20_000  # series; with closed lists of labels there are never so many
PLAIN_BELOW = 1_000_000  # a larger number may need an exponent, as Go writes it


class InstrumentLines:
    """Writes what instruments say. One thread at a time."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, ...], str] = {}  # the value of each series
        self._above: dict[tuple[str, Format], str] = {}  # the samples of each family

    def text(self, metrics: Iterable[Metric], format_: Format) -> str:
        """Counters, gauges and histograms, byte for byte as the client writes them, without the end of an answer.

        When a series began is left out: Prometheus makes nothing of it, and it would be a series more for each.
        """
        if len(self._before) > REMEMBERED_AT_MOST:
            self._before.clear()
        return "".join(self._lines(metrics, format_))

    def _lines(self, metrics: Iterable[Metric], format_: Format) -> Iterator[str]:
        before = self._before
        for metric in metrics:
            above = self._above.get((metric.name, format_))
            yield self._described(metric, format_) if above is None else above
            created = f"{metric.name}_created"
            for sample in metric.samples:
                if sample.name == created:
                    continue
                value = sample.value
                written = repr(float(value)) if -PLAIN_BELOW < value < PLAIN_BELOW else _exact(value)
                head = before.get((sample.name, *sample.labels.values()))
                yield f"{self._named(sample) if head is None else head}{written}\n"

    def _described(self, metric: Metric, format_: Format) -> str:
        name, meaning, kind = metric.name, metric.documentation.replace("\\", r"\\").replace("\n", r"\n"), metric.type
        if format_ is Format.OPENMETRICS:
            meaning = meaning.replace('"', r"\"")
        elif kind == "counter":
            name = f"{name}_total"
        above = self._above[metric.name, format_] = f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
        return above

    def _named(self, sample: Sample) -> str:
        labels = sorted(sample.labels.items())
        key = sample.name, *sample.labels.values()
        head = self._before[key] = f"{sample.name}{labelled(*zip(*labels, strict=True)) if labels else ''} "
        return head


def _exact(value: float) -> str:
    """A large number as Go writes it, and those that are none."""
    written: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return written
