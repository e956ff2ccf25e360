"""A scrape as a strict reader takes it."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from collector.serve.exposition import Format, labelled

ENDINGS = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


def well_formed(text: str, format_: Format) -> dict[str, dict[str, float]]:
    """The samples by family, as OpenMetrics calls it, and labels; the test fails when a family or a series is there twice."""
    described = [line.split(" ", 3)[1:3] for line in text.splitlines() if line.startswith(("# HELP ", "# TYPE "))]
    assert len({tuple(one) for one in described}) == len(described)
    parse = openmetrics_families if format_ is Format.OPENMETRICS else text_string_to_metric_families
    found: dict[str, dict[str, float]] = defaultdict(dict)
    whose: dict[str, str] = {}
    for family in parse(text):
        endings = ENDINGS.get(family.type, ())
        if endings and format_ is Format.OPENMETRICS:
            endings += ("_created",)  # as text the client says it in a family of its own
        taken = {family.name, *(family.name + ending for ending in endings)}
        for name in taken:
            assert whose.setdefault(name, family.name) == family.name, f"{name} is of two families"
        for sample in family.samples:
            assert sample.name in taken, f"{sample.name} has no family"
            series = sample.name.removeprefix(family.name).removeprefix("_total") + labelled(
                sample.labels, sample.labels.values()
            )
            assert series not in found[family.name], f"{sample.name}{series} is there twice"
            found[family.name][series] = sample.value
    return found
