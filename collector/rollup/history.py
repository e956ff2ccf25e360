"""Stored snapshots, and the points that old ones are folded into -> points in time, each summing up one step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, select

from collector.persist.history_tables import MEASURES, Measure
from collector.rollup.snapshot import Snapshot, deployment_stats, shortest, stored_snapshot, utc
from collector.rollup.tiers import LAST, TIERS, Tier
from collector.wire.deployment import FieldKind, Source, StatsHistory, StatsPoint
from collector.wire.errors import InvalidInput, Validation

MAX_POINTS = 2_000
MAX_ROWS = 6_000  # that are summed up for one answer, in some 60 ms
CHART_POINTS = 400  # what a chart shows at most when nobody asks for a step
NICE_STEPS = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800)  # seconds
MAX_STEP = 366 * 86_400  # seconds
LAST_MS = 253_402_300_799_999  # the end of the year 9999
USUAL_INTERVAL_MS = 30_000  # until a snapshot says what the interval is
BEST_FIRST = (Source.UPSTREAM, Source.REPORTS, Source.TELEMETRY)  # sources, by how exact they are


class Field(NamedTuple):
    """One number of the stats: its place in the answer, and its column."""

    name: str
    measure: Measure


def _name(measure: Measure) -> str:
    column = measure.column
    if measure.kind == "percentile":
        return f"workspaces.connection_latency_ms.{column.split('_')[2]}"
    app = column.removeprefix("session_count_")
    return f"workspaces.{column}" if app == column else f"session_count.{app}"


FIELDS = tuple(Field(_name(measure), measure) for measure in MEASURES)
KINDS: dict[str, FieldKind] = {field.name: field.measure.kind for field in FIELDS}
PERCENTILES = tuple(field.name for field in FIELDS if field.measure.kind == "percentile")
GAUGES = tuple(field.name for field in FIELDS if field.measure.kind == "gauge")


def nice_step(since: int, until: int, interval_ms: int) -> int:
    """A step in seconds that makes a readable chart of ``since`` to ``until`` (ms) out of one snapshot an interval.

    It is at least two intervals, so that a snapshot that comes a moment late leaves no gap.
    """
    least = max(2 * interval_ms, (until - since) / CHART_POINTS) / 1_000
    return next((step for step in NICE_STEPS if step >= least), math.ceil(least / NICE_STEPS[-1]) * NICE_STEPS[-1])


class Span(NamedTuple):
    """Which snapshots a history is made of; ``source`` None: in every step those of the best."""

    deployment: str
    since: int  # ms
    until: int
    source: Source | None = None

    def within(self, tier: Tier) -> ColumnElement[bool]:
        """The condition on rows of ``tier``: one that holds ``since`` is in, whole."""
        columns = tier.table.c
        first = self.since - self.since % (tier.span_ms or 1)
        time = columns[tier.time]
        among = and_(columns.deployment == self.deployment, time >= first, time < self.until)
        return among if self.source is None else and_(among, columns.source == self.source.value)


def history(connection: Connection, span: Span, *, step_seconds: int, interval_ms: int = USUAL_INTERVAL_MS) -> StatsHistory:
    """One point for each step that begins in ``[since, until)`` or holds ``since``; times in ms, steps counted from the epoch.

    A step is made of the coarsest rows that fit into it. It is lengthened to a multiple of the coarsest by which its time is
    known, or can be read at once. Only snapshots within ``[since, until)`` count, but of the five minutes, the hour or the
    day that a row holds and that reaches out of it, all. ``interval_ms`` says how many are expected before the first.

    Raises:
        InvalidInput: the span or the step is empty or negative, or makes more than ``MAX_POINTS`` points.
    """
    _steps(span, step_seconds)
    tier, step_seconds = _reading(connection, span, step_seconds, interval_ms)
    step_ms = step_seconds * 1_000
    found = _best(connection.execute(_summed_up(span, tier, step_ms)))
    points = []
    for step in _steps(span, step_seconds):
        row, at = found.get(step), step * step_ms
        last = None if row is None else stored_snapshot({"deployment": span.deployment, **row.last})
        interval_ms = max(1, last.next_update_at - last.collected_at) if last else interval_ms
        inside = min(at + step_ms, span.until) - max(at, span.since)
        points.append(_point(at, row, last, max(1, round(inside / interval_ms))))
    return StatsHistory(deployment=span.deployment, step_seconds=step_seconds, points=points, fields=KINDS)


def _steps(span: Span, step_seconds: int) -> range:
    since, until = span.since, span.until
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


def _reading(connection: Connection, span: Span, step_seconds: int, interval_ms: int) -> tuple[Tier, int]:
    """The coarsest tier whose rows never lie in two steps, and the step, lengthened until it has few enough of them."""
    firsts = [connection.scalar(select(func.min(tier.table.c[tier.time])).where(span.within(tier))) for tier in TIERS]

    def affordable(tier: Tier) -> bool:
        first = firsts[TIERS.index(tier)]
        return first is None or (span.until - first) / (tier.span_ms or interval_ms) <= MAX_ROWS

    complete = _complete(firsts)
    fitting = _fitting(step_seconds)
    if fitting.span_ms >= complete.span_ms and affordable(fitting):
        return fitting, step_seconds
    # The number of rows decides only where coarser ones would do: of years the days are read, however many.
    finest = next((tier for tier in TIERS[TIERS.index(complete) :] if affordable(tier)), TIERS[-1])
    unit = finest.span_ms // 1_000 or 1
    step_seconds = math.ceil(step_seconds / unit) * unit
    return _fitting(step_seconds), step_seconds


def _fitting(step_seconds: int) -> Tier:
    tiers: Iterable[Tier] = reversed(TIERS)
    return next(tier for tier in tiers if not tier.span_ms or step_seconds * 1_000 % tier.span_ms == 0)


def _complete(firsts: Sequence[int | None]) -> Tier:
    """The finest tier that still has everything; ``firsts`` are the first times of all. What is old, only the coarser have."""
    for place, (first_own, tier) in enumerate(zip(firsts, TIERS, strict=True), start=1):
        begin = math.inf if first_own is None else first_own
        older = zip(firsts[place:], TIERS[place:], strict=True)
        # A coarser row that ends before the finer begin speaks of a time that only it knows.
        if not any(first is not None and first + coarser.span_ms <= begin for first, coarser in older):
            return tier
    return TIERS[-1]


def _summed_up(span: Span, tier: Tier, step_ms: int) -> Select[Any]:
    """Of each step and source: step, snapshots, source and the last snapshot; then least, greatest and average.

    Steps without a snapshot are left out.
    """
    columns, gauges = tier.table.c, [measure for measure in MEASURES if measure.kind == "gauge"]
    time = columns[tier.time]
    step = (time // literal(step_ms)).label("step")
    last = [columns.source, *(columns[name] for name in LAST)]
    if step_ms == tier.span_ms:  # nothing to sum up
        ends = [columns[f"{measure.column}_{end}"] for end in ("min", "max") for measure in MEASURES]
        averages = [columns[f"{measure.column}_avg"] for measure in gauges]
        return select(step, columns.samples, *last, *ends, *averages).where(span.within(tier))
    found = [tier.samples, *map(tier.smallest, MEASURES), *map(tier.largest, MEASURES), *map(tier.average, gauges)]
    named = [column.label(f"found_{place}") for place, column in enumerate(found)]
    steps = select(step, columns.source, func.max(time).label("last"), *named).where(span.within(tier))
    by_step = steps.group_by("step", columns.source).subquery()
    samples, *rest = [by_step.c[column.name] for column in named]
    is_last = and_(columns.deployment == span.deployment, columns.source == by_step.c.source, time == by_step.c.last)
    return select(by_step.c.step, samples, *last, *rest).join_from(by_step, tier.table, is_last)


class _Row(NamedTuple):
    """What the store says of a step."""

    samples: int
    last: Mapping[str, Any]
    least: Sequence[Any]  # in the order of MEASURES
    greatest: Sequence[Any]
    average: Sequence[float]  # of gauges


def _best(rows: Iterable[Sequence[Any]]) -> dict[int, _Row]:
    """By step the row of the most exact source, so that two that say the same do not count twice."""
    rank = {source: place for place, source in enumerate(BEST_FIRST)}
    best: dict[int, tuple[int, _Row]] = {}
    for step, samples, *values in rows:
        place = rank.get(values[0], len(rank))
        if step in best and best[step][0] <= place:
            continue
        last, extremes = len(LAST) + 1, len(MEASURES)
        least, greatest = values[last : last + extremes], values[last + extremes : last + 2 * extremes]
        whole = dict(zip(("source", *LAST), values, strict=False))
        best[step] = place, _Row(int(samples), whole, least, greatest, values[last + 2 * extremes :])
    return {step: row for step, (_, row) in best.items()}


def _point(at: int, row: _Row | None, last: Snapshot | None, expected: int) -> StatsPoint:
    if row is None or last is None:
        return StatsPoint(at=utc(at), samples=0, expected=expected, source=None, stats=None, min=None, max=None, avg=None)
    return StatsPoint(
        at=utc(at),
        samples=row.samples,
        expected=expected,
        source=last.source,
        approximate=last.approximate,
        stats=deployment_stats(last),
        min=_extremes(row.least),
        max=_extremes(row.greatest),
        avg=dict(zip(GAUGES, row.average, strict=True)),
    )


def _extremes(values: Sequence[Any]) -> dict[str, int | float | None]:
    extremes = dict(zip(KINDS, values, strict=True))
    for name in PERCENTILES:
        if extremes[name] is not None:
            extremes[name] = shortest(extremes[name])
    return extremes
