"""Snapshots folded into points of five minutes, an hour and a day, in the transaction that stores them.

A point holds the last snapshot of its span whole, the extremes of every number, and the average of gauges: a peak is never
averaged away, a percentile never averaged, and sums over windows, which overlap, never added. So that a point says all of
its span at any time, there is nothing to catch up with: retention only deletes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Double, Table, case, cast, func

from collector.persist.engine import insert
from collector.persist.history_tables import MEASURES, Measure, history_days, history_hours, history_minutes
from collector.persist.tables import snapshots

LAST = ("aggregated_from", "collected_at", "next_update_at", *(measure.column for measure in MEASURES))


class Tier(NamedTuple):
    """Rows of one resolution; a row says all that is known of the ``span_ms`` from its ``time``. 0: one snapshot."""

    table: Table
    span_ms: int
    time: str

    @property
    def samples(self) -> ColumnElement[Any]:
        """How many snapshots rows stand for."""
        return func.sum(self.table.c.samples) if self.span_ms else func.count()

    def smallest(self, measure: Measure) -> ColumnElement[Any]:
        """The least of rows; of a percentile null when none was seen."""
        return self._extreme(func.min, measure, "min")

    def largest(self, measure: Measure) -> ColumnElement[Any]:
        """The greatest of rows; of a percentile null when none was seen."""
        return self._extreme(func.max, measure, "max")

    def average(self, measure: Measure) -> ColumnElement[Any]:
        """The average over snapshots."""
        if not self.span_ms:
            return func.avg(cast(self.table.c[measure.column], Double))
        samples = self.table.c.samples
        return func.sum(self.table.c[f"{measure.column}_avg"] * samples) / func.sum(samples)

    def _extreme(self, function: Any, measure: Measure, name: str) -> ColumnElement[Any]:
        if self.span_ms:
            return function(self.table.c[f"{measure.column}_{name}"])  # type: ignore[no-any-return] # of an SQL function
        column = self.table.c[measure.column]
        # -1 is "no latency seen", which is not a latency.
        return function(column).filter(column >= 0) if measure.kind == "percentile" else function(column)  # type: ignore[no-any-return]


RAW = Tier(snapshots, 0, "collected_at")
MINUTES = Tier(history_minutes, 5 * 60_000, "at")
HOURS = Tier(history_hours, 3_600_000, "at")
DAYS = Tier(history_days, 86_400_000, "at")
TIERS = (RAW, MINUTES, HOURS, DAYS)  # from fine to coarse


def fold(connection: Connection, snapshot: Mapping[str, Any]) -> None:
    """Add a row of ``snapshots`` that was not there before to the points whose spans it lies in."""
    extremes = {f"{column}_{end}": value for column, value in _seen(snapshot) for end in ("min", "max")}
    averages = {f"{column}_avg": snapshot[column] for column, kind in MEASURES if kind == "gauge"}
    for tier in TIERS[1:]:
        at = snapshot["collected_at"] - snapshot["collected_at"] % tier.span_ms
        row = {**snapshot, **extremes, **averages, "at": at, "samples": 1}
        connection.execute(_adding(tier, connection.dialect.name), row)


def _seen(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for column, kind in MEASURES:
        value = snapshot[column]
        yield column, None if kind == "percentile" and value < 0 else value


@cache
def _adding(tier: Tier, dialect: str) -> Any:
    """The upsert of one snapshot, which another process may do for the same point at the same time."""
    old, adding = tier.table.c, insert(dialect, tier.table)
    new = adding.excluded
    later = new.collected_at >= old.collected_at
    set_: dict[str, Any] = {name: case((later, new[name]), else_=old[name]) for name in LAST}
    for column, kind in MEASURES:
        least, most = f"{column}_min", f"{column}_max"
        set_[least] = case((old[least].is_(None), new[least]), (new[least] < old[least], new[least]), else_=old[least])
        set_[most] = case((old[most].is_(None), new[most]), (new[most] > old[most], new[most]), else_=old[most])
        if kind == "gauge":
            average = f"{column}_avg"
            set_[average] = old[average] + (new[average] - old[average]) / (old.samples + 1)
    set_["samples"] = old.samples + 1
    return adding.on_conflict_do_update(index_elements=["deployment", "at", "source"], set_=set_)
