"""Interceptions -> what was used: summed from the rows that are kept, broken down by provider, model, initiator and day.

What retention has deleted is not in it any more; so a log that is read again after that counts once, like everything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, RowMapping, Select, Table, delete, func, literal, or_, select

from collector.persist.aibridge_tables import (
    OF_AN_INTERCEPTION,
    aibridge_interceptions,
    aibridge_model_thoughts,
    aibridge_prompts,
    aibridge_token_usages,
    aibridge_tool_usages,
)
from collector.rollup.csp import SLICE_ROWS, Slice
from collector.rollup.prices import NOTHING, Cost, PriceList, cost
from collector.wire.aibridge import KINDS, Tokens
from collector.wire.aibridge_usage import Durations, GroupKey, Usage, UsageQuery, UsageReport
from collector.wire.errors import InvalidInput

DAY_MS = 86_400_000
MAX_GROUPS = 10_000
MAX_SUMS = 10 * MAX_GROUPS  # groups times the models used in each
PERCENTS = (50, 95)
NOT_ENDED = Durations()
COST_DIGITS = 6
PER_SLICE, AT_ONCE = 200, 10  # interceptions; one has some ten rows, a long one some hundred

Key = tuple[Any, ...]

_interceptions = aibridge_interceptions.c
# The number stands in the statement itself: PostgreSQL takes two parameters of one value for two expressions.
_day = _interceptions.started_at // literal(DAY_MS, BigInteger, literal_execute=True)
COLUMNS: dict[GroupKey, ColumnElement[Any]] = {
    GroupKey.PROVIDER: _interceptions.provider,
    GroupKey.MODEL: _interceptions.model,
    GroupKey.INITIATOR: _interceptions.initiator_id,
    GroupKey.DAY: _day,
}
COUNTED = ("interceptions", "unfinished", "prompts", "tool_calls", "model_thoughts", "errors")


@dataclass
class _Group:
    """What adds up of one group."""

    counts: Counter[str] = field(default_factory=Counter)
    cost: Cost = NOTHING
    duration: Durations = NOT_ENDED


def usage(connection: Connection, query: UsageQuery, prices: PriceList | None = None) -> UsageReport:
    """What the interceptions of ``query`` used, by group and in all.

    Raises:
        InvalidInput: there are too many groups.
    """
    groups: dict[Key, _Group] = defaultdict(_Group)
    for counts in _counts(query):
        for key, row in _rows(connection, query, counts, MAX_GROUPS):
            groups[key].counts.update({name: int(row[name]) for name in counts.selected_columns.keys()[len(key) :]})
    for key, row in _rows(connection, query, _token_sums(query), MAX_SUMS):
        used = Tokens(*(int(row[kind]) for kind in KINDS))
        groups[key].counts.update(msgspec.structs.asdict(used))
        groups[key].cost += cost(used, prices.of(row["provider"], row["model"]) if prices else None)
    for key, duration in _durations(connection, query).items():
        groups[key].duration = duration
    results = [_usage(query, key, groups[key]) for key in sorted(groups, key=_order)]
    return UsageReport(tuple(results), _total(connection, query, groups), prices.currency if prices else None)


def has_usage(connection: Connection, deployment: str) -> bool:
    """Whether any interception of ``deployment`` is kept."""
    found = select(_interceptions.id).where(_interceptions.deployment == deployment).limit(1)
    return connection.scalar(found) is not None


def _total(connection: Connection, query: UsageQuery, groups: dict[Key, _Group]) -> Usage:
    whole = msgspec.structs.replace(query, group_by=())
    total = _Group(duration=_durations(connection, whole).get((), NOT_ENDED))  # no percentile is made of those of groups
    for group in groups.values():
        total.counts.update(group.counts)
        total.cost += group.cost
    return _usage(whole, (), total)


def _usage(query: UsageQuery, key: Key, group: _Group) -> Usage:
    named: dict[str, Any] = dict(zip(query.group_by, key, strict=True))
    if GroupKey.DAY in named:
        named[GroupKey.DAY] = datetime.fromtimestamp(named[GroupKey.DAY] * DAY_MS // 1000, UTC).strftime("%Y-%m-%d")
    amount = group.cost.amount
    counted: dict[str, Any] = {name: group.counts[name] for name in COUNTED}
    return Usage(
        **named,
        **counted,
        tokens=Tokens(*(group.counts[kind] for kind in KINDS)),
        duration_ms=group.duration,
        cost=None if amount is None else float(round(amount, COST_DIGITS)),
        unpriced_tokens=group.cost.unpriced_tokens,
    )


def _order(key: Key) -> tuple[tuple[bool, Any], ...]:
    return tuple((part is None, 0 if part is None else part) for part in key)


# ── Queries ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _of(query: UsageQuery, *columns: Any) -> Select[Any]:
    """``columns`` of the interceptions of ``query``, behind those of its groups."""
    selected = select(*(COLUMNS[name].label(f"key_{name}") for name in query.group_by), *columns)
    selected = selected.select_from(aibridge_interceptions)
    selected = selected.where(_interceptions.started_at >= query.since, _interceptions.started_at < query.until)
    return selected if query.deployment is None else selected.where(_interceptions.deployment == query.deployment)


def _grouped(query: UsageQuery, *columns: Any) -> Select[Any]:
    return _of(query, *columns).group_by(*(COLUMNS[name] for name in query.group_by))


def _joined(selected: Select[Any], table: Table) -> Select[Any]:
    return selected.join(table, table.c.interception == _interceptions.id)


def _counts(query: UsageQuery) -> Iterator[Select[Any]]:
    """Queries that count different things of the same groups: one join of all would count rows times rows."""
    unfinished = func.count().filter(_interceptions.ended_at.is_(None))
    yield _grouped(query, func.count().label("interceptions"), unfinished.label("unfinished"))
    for name, table in (("prompts", aibridge_prompts), ("model_thoughts", aibridge_model_thoughts)):
        yield _joined(_grouped(query, func.count().label(name)), table)
    failed = func.count().filter(aibridge_tool_usages.c.invocation_error != "")
    yield _joined(_grouped(query, func.count().label("tool_calls"), failed.label("errors")), aibridge_tool_usages)


def _token_sums(query: UsageQuery) -> Select[Any]:
    """Tokens of the groups by provider and model, as prices are."""
    priced_by = _interceptions.provider, _interceptions.model
    sums = (func.coalesce(func.sum(aibridge_token_usages.c[kind]), 0).label(kind) for kind in KINDS)
    columns = (column.label(column.name) for column in priced_by)
    return _joined(_grouped(query, *columns, *sums).group_by(*priced_by), aibridge_token_usages)


def _rows(connection: Connection, query: UsageQuery, selected: Select[Any], most: int) -> Iterator[tuple[Key, RowMapping]]:
    rows = connection.execute(selected.limit(most + 1)).mappings().all()
    if len(rows) > most:
        raise InvalidInput(
            "This is broken down too far.", f"More than {most:,} groups would be counted: ask for fewer keys or a shorter time."
        )
    names = [f"key_{name}" for name in query.group_by]
    return ((tuple(row[name] for name in names), row) for row in rows)


def _durations(connection: Connection, query: UsageQuery) -> dict[Key, Durations]:
    """Percentiles as percentile_cont has them, by group: the database ranks, and only the neighbours come out."""
    taken = _interceptions.ended_at - _interceptions.started_at
    keys = [COLUMNS[name] for name in query.group_by]
    place = (func.row_number().over(partition_by=keys or None, order_by=taken) - 1).label("place")
    count = func.count().over(partition_by=keys or None).label("count")
    ended = _of(query, taken.label("taken"), place, count)
    ranked = ended.where(_interceptions.provider.is_not(None), _interceptions.ended_at.is_not(None)).subquery()
    lows = [(ranked.c.count - 1) * percent // 100 for percent in PERCENTS]
    wanted = select(ranked).where(or_(*(ranked.c.place.in_((low, low + 1)) for low in lows)))
    found: dict[Key, dict[int, int]] = defaultdict(dict)
    counts: dict[Key, int] = {}
    for *key, milliseconds, at, rows in connection.execute(wanted):
        found[tuple(key)][at] = milliseconds
        counts[tuple(key)] = rows
    return {key: Durations(*(_percentile(at, counts[key], percent) for percent in PERCENTS)) for key, at in found.items()}


def _percentile(at: dict[int, int], count: int, percent: int) -> float:
    low, hundredths = divmod((count - 1) * percent, 100)
    value = at[low] + (at[low + 1] - at[low]) * hundredths / 100 if hundredths else at[low]
    return float(max(value, 0))  # an end before its start is a clock that was set


# ── Retention ────────────────────────────────────────────────────────────────────────────────────────────────────────
def old_interceptions(connection: Connection, started_before: int, _after: int, *, arrived_before: int) -> Slice:
    """Delete interceptions with all that belongs to them until a slice is full: those of which both is true (ms)."""
    old = (
        select(_interceptions.id)
        .where(_interceptions.started_at < started_before, _interceptions.received_at < arrived_before)
        .order_by(_interceptions.started_at)
        .limit(PER_SLICE)
    )
    ids = connection.scalars(old.with_for_update(skip_locked=True)).all()
    done = rows = 0
    while done < len(ids) and rows < SLICE_ROWS:
        few = ids[done : done + AT_ONCE]
        # By name, though the foreign keys would do it: a slice must know how much it has deleted.
        for table in OF_AN_INTERCEPTION:
            rows += connection.execute(delete(table).where(table.c.interception.in_(few))).rowcount
        connection.execute(delete(aibridge_interceptions).where(_interceptions.id.in_(few)))
        done += len(few)
    return Slice(done, 0 if done < len(ids) or done == PER_SLICE else None)
