"""Stored snapshots -> points in time, each summing up one step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, select

from collector.persist.tables import snapshots as table
from collector.rollup.snapshot import deployment_stats, shortest, stored_snapshot, utc
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import FieldKind, SessionCounts, StatsHistory, StatsPoint
from collector.wire.errors import InvalidInput, Validation

MAX_POINTS = 2_000
CHART_POINTS = 400  # what a chart shows at most when nobody asks for a step
NICE_STEPS = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800)  # seconds
MAX_STEP = 366 * 86_400  # seconds
LAST_MS = 253_402_300_799_999  # the end of the year 9999


class Field(NamedTuple):
    """One number of the stats: its place in the answer, its column, and what may be done with it."""

    name: str
    column: ColumnElement[Any]
    kind: FieldKind


FIELDS = (
    *(Field(f"workspaces.{state}", table.c[state], "gauge") for state in WorkspaceCounts.__struct_fields__),
    Field("workspaces.connection_latency_ms.p50", table.c.connection_latency_p50_ms, "percentile"),
    Field("workspaces.connection_latency_ms.p95", table.c.connection_latency_p95_ms, "percentile"),
    Field("workspaces.rx_bytes", table.c.rx_bytes, "window_sum"),
    Field("workspaces.tx_bytes", table.c.tx_bytes, "window_sum"),
    *(Field(f"session_count.{app}", table.c[f"session_count_{app}"], "gauge") for app in SessionCounts.__struct_fields__),
)
KINDS: dict[str, FieldKind] = {field.name: field.kind for field in FIELDS}


def nice_step(since: int, until: int, interval_ms: int) -> int:
    """A step in seconds that makes a readable chart of ``since`` to ``until`` (ms) out of one snapshot an interval.

    It is at least two intervals, so that a snapshot that comes a moment late leaves no gap.
    """
    least = max(2 * interval_ms, (until - since) / CHART_POINTS) / 1_000
    return next((step for step in NICE_STEPS if step >= least), math.ceil(least / NICE_STEPS[-1]) * NICE_STEPS[-1])


def history(connection: Connection, deployment: str, *, since: int, until: int, step_seconds: int) -> StatsHistory:
    """One point for each step that begins in ``[since, until)`` or holds ``since``; times in ms, steps counted from the epoch.

    Only snapshots within ``[since, until)`` count.

    Raises:
        InvalidInput: the span or the step is empty or negative, or makes more than ``MAX_POINTS`` points.
    """
    steps = _steps(since, until, step_seconds)
    step_ms = step_seconds * 1_000
    found = {row["step"]: row for row in connection.execute(_summed_up(deployment, since, until, step_ms)).mappings()}
    points = [_point(step * step_ms, found.get(step)) for step in steps]
    return StatsHistory(deployment=deployment, step_seconds=step_seconds, points=points, fields=KINDS)


def _steps(since: int, until: int, step_seconds: int) -> range:
    if not 0 <= since < until <= LAST_MS:
        raise InvalidInput(
            "The span cannot be used.", validations=(Validation("from", "must be before to, and both after 1970"),)
        )
    if not 0 < step_seconds <= MAX_STEP:
        detail = f"must be from one second to {MAX_STEP:,} seconds"
        raise InvalidInput("The step cannot be used.", validations=(Validation("step", detail),))
    steps = range(since // (step_seconds * 1_000), math.ceil(until / (step_seconds * 1_000)))
    if len(steps) > MAX_POINTS:
        detail = f"must make at most {MAX_POINTS:,} points, this one makes {len(steps):,}"
        raise InvalidInput("The step is too small for the span.", validations=(Validation("step", detail),))
    return steps


def _summed_up(deployment: str, since: int, until: int, step_ms: int) -> Select[Any]:
    """The last snapshot of each step beside the extremes and averages of all of them; steps without one are left out."""
    extremes: list[ColumnElement[Any]] = []
    for name, column, kind in FIELDS:
        seen = column >= 0  # -1 is "no latency seen", which is not a latency
        smallest, largest, average = func.min(column), func.max(column), func.avg(column)
        extremes.append((smallest.filter(seen) if kind == "percentile" else smallest).label(f"min:{name}"))
        extremes.append((largest.filter(seen) if kind == "percentile" else largest).label(f"max:{name}"))
        if kind == "gauge":
            extremes.append(average.label(f"avg:{name}"))
    within = and_(table.c.deployment == deployment, table.c.collected_at >= since, table.c.collected_at < until)
    step = (table.c.collected_at // step_ms).label("step")
    steps = select(step, func.max(table.c.collected_at).label("last"), *extremes).where(within).group_by("step").subquery()
    is_last = and_(table.c.deployment == deployment, table.c.collected_at == steps.c.last)
    return select(table, *(column for column in steps.columns if column.name != "last")).join_from(steps, table, is_last)


def _point(at: int, row: RowMapping | None) -> StatsPoint:
    if row is None:
        return StatsPoint(at=utc(at), source=None, stats=None, min=None, max=None, avg=None)
    snapshot = stored_snapshot(row)
    return StatsPoint(
        at=utc(at),
        source=snapshot.source,
        approximate=snapshot.approximate,
        stats=deployment_stats(snapshot),
        min={name: _number(row[f"min:{name}"]) for name in KINDS},
        max={name: _number(row[f"max:{name}"]) for name in KINDS},
        avg={name: float(row[f"avg:{name}"]) for name, kind in KINDS.items() if kind == "gauge"},
    )


def _number(value: float | None) -> int | float | None:
    return shortest(value) if isinstance(value, float) else value
