"""AI bridge records -> running sums, which stay when retention deletes the records.

A record is counted once it is known whose it is: with its interception's start, or when that comes. An interception and how
long it took are counted when it has started and ended, whichever is heard of last.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from prometheus_client import Counter as Instrument
from sqlalchemy import ColumnElement, Connection, Table, case, func, literal, select, tuple_

from collector.persist.aibridge_tables import (
    LASTED,
    TOTALS,
    UP_TO_MS,
    aibridge_duration_totals,
    aibridge_prompts,
    aibridge_token_usages,
    aibridge_tool_totals,
    aibridge_tool_usages,
    aibridge_totals,
)
from collector.persist.engine import insert
from collector.wire.aibridge import KINDS, AibridgeRecord, Prompt, TokenUsage, ToolUsage

# Names come from logs. Cut to this, five of them fit into a key of PostgreSQL's.
LONGEST_NAME = 100
OTHER = "other"
# Rows a deployment; what comes beyond them is counted as OTHER.
MOST: Mapping[Table, int] = {aibridge_totals: 20_000, aibridge_duration_totals: 1_900, aibridge_tool_totals: 20_000}

ADVISORY_LOCK = 0x636F6C6C_61696272
# As far as a metric, which is a float, is exact; a sum that gets there stays there, and no column overflows.
LARGEST_SUM = 2**53

OVERFLOWS = Instrument(
    "collector_aibridge_overflow_groups",
    "Groups of AI bridge records that were counted as `other`, once for each transaction, because there are too many groups.",
)

Key = tuple[str | bool, ...]
Sums = defaultdict[Table, defaultdict[Key, Counter[str]]]


class Told(NamedTuple):
    """An interception as it is stored now (ms), and whether it had started and had ended before; None: it was not there."""

    id: int
    provider: str | None
    model: str | None
    initiator_id: str | None
    started_at: int
    ended_at: int | None
    before: tuple[bool, bool] | None

    @property
    def model_key(self) -> tuple[str, str]:
        """What it is counted under together with those of other users."""
        return _cut(self.provider), _cut(self.model)

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is counted under."""
        return *self.model_key, _cut(self.initiator_id)


def take_turn(connection: Connection) -> None:
    """Let one transaction after the other count; to be called before it locks anything else.

    A second one that brings the same must find it stored, or both would count it. SQLite has one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))


def count(
    connection: Connection,
    told: Iterable[Told],
    new: Mapping[int, Sequence[AibridgeRecord]],
    *,
    deployment: str,
    received_at: int,
) -> None:
    """Count what is new of the interceptions ``told``: they are stored, as are the records that ``new`` has by their ids."""
    sums: Sums = defaultdict(lambda: defaultdict(Counter))
    late: dict[int, Told] = {}
    for one in told:
        if one.provider is None:
            continue
        if one.ended_at is not None and one.before != (True, True):
            _add_end(sums, one, one.ended_at)
        if one.before is not None and not one.before[0]:
            late[one.id] = one  # it was there without its start, and so may be others of its records
            continue
        for record in new.get(one.id, ()):
            _add(sums, one, record)
    if late:
        _add_stored(connection, sums, late)
    for table in TOTALS:
        if table in sums:
            _store(connection, table, sums[table], {"deployment": deployment, "counted_at": received_at})


def _cut(name: str | None) -> str:
    return (name or "")[:LONGEST_NAME]


def _add_end(sums: Sums, one: Told, ended_at: int) -> None:
    took = max(ended_at - one.started_at, 0)  # an end before its start is a clock that was set
    place = next((place for place, limit in enumerate(UP_TO_MS) if took <= limit), len(UP_TO_MS))
    sums[aibridge_totals][one.key]["interceptions"] += 1
    sums[aibridge_duration_totals][one.model_key].update({LASTED[place]: 1, "duration_ms": took})


def _add(sums: Sums, one: Told, record: AibridgeRecord) -> None:
    if isinstance(record, TokenUsage):
        sums[aibridge_totals][one.key].update(msgspec.structs.asdict(record.tokens))
    elif isinstance(record, Prompt):
        sums[aibridge_totals][one.key]["prompts"] += 1
    elif isinstance(record, ToolUsage):
        tool = *one.model_key, record.injected, _cut(record.server_url), _cut(record.tool)
        sums[aibridge_tool_totals][tool]["calls"] += 1


def _add_stored(connection: Connection, sums: Sums, late: Mapping[int, Told]) -> None:
    """Add all the records that are stored of ``late``."""
    tokens, prompts, tools = aibridge_token_usages.c, aibridge_prompts.c, aibridge_tool_usages.c
    selected = select(tokens.interception, *(func.sum(tokens[kind]) for kind in KINDS)).group_by(tokens.interception)
    for id_, *counts in connection.execute(selected.where(tokens.interception.in_(late))):
        sums[aibridge_totals][late[id_].key].update(dict(zip(KINDS, map(int, counts), strict=True)))
    selected = select(prompts.interception, func.count()).group_by(prompts.interception)
    for id_, count_ in connection.execute(selected.where(prompts.interception.in_(late))):
        sums[aibridge_totals][late[id_].key]["prompts"] += count_
    named = tools.interception, tools.injected, tools.server_url, tools.tool
    for id_, injected, server, tool, calls in connection.execute(
        select(*named, func.count()).group_by(*named).where(tools.interception.in_(late))
    ):
        sums[aibridge_tool_totals][*late[id_].model_key, injected, _cut(server), _cut(tool)]["calls"] += calls


def _store(connection: Connection, table: Table, sums: Mapping[Key, Counter[str]], about: Mapping[str, Any]) -> None:
    names = [column.name for column in table.primary_key.columns if column.name != "deployment"]
    summed = _summed(table)
    rows = [
        {**about, **dict(zip(names, key, strict=True)), **{name: min(counts[name], LARGEST_SUM) for name in summed}}
        # In the order of the key, for everyone the same: two writers that lock rows crosswise deadlock.
        for key, counts in sorted(_bounded(connection, table, sums, str(about["deployment"])).items())
    ]
    statement = insert(connection.dialect.name, table)
    changes = _grown(table, statement) | {"counted_at": statement.excluded.counted_at}
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changes), rows)


def _summed(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key and column.name != "counted_at"]


def _grown(table: Table, statement: Any) -> dict[str, ColumnElement[Any]]:
    new = statement.excluded
    return {
        name: case((table.c[name] > LARGEST_SUM - new[name], LARGEST_SUM), else_=table.c[name] + new[name])
        for name in _summed(table)
    }


def _bounded(
    connection: Connection, table: Table, sums: Mapping[Key, Counter[str]], deployment: str
) -> Mapping[Key, Counter[str]]:
    """``sums``, where what has no room for a row of its own is in that of OTHER."""
    mine = table.c.deployment == deployment
    room = MOST[table] - (connection.scalar(select(func.count()).select_from(table).where(mine)) or 0)
    if len(sums) <= room:
        return sums
    key = [column for column in table.primary_key.columns if column.name != "deployment"]
    stored = {tuple(row) for row in connection.execute(select(*key).where(mine, tuple_(*key).in_(list(sums))))}
    new = [one for one in sorted(sums) if one not in stored]
    bounded = dict(sums)
    for beyond in new[max(room, 0) :]:
        other = tuple(OTHER if isinstance(part, str) else part for part in beyond)
        bounded[other] = bounded.get(other, Counter()) + bounded.pop(beyond)
        OVERFLOWS.inc()
    return bounded


def hand_over(connection: Connection, ids: Collection[str], *, nobody: str) -> int:
    """Make ``nobody``'s what the users ``ids`` have been counted with; how many rows were theirs."""
    table = aibridge_totals
    its = table.c.initiator_id.in_([_cut(id_) for id_ in ids]) & (table.c.initiator_id != nobody)
    summed = _summed(table)
    whose = table.c.deployment, table.c.provider, table.c.model
    sums = (func.sum(table.c[name]) for name in summed)
    theirs = select(*whose, literal(nobody), *sums, func.max(table.c.counted_at)).where(its).group_by(*whose)
    columns = [*(column.name for column in whose), "initiator_id", *summed, "counted_at"]
    statement = insert(connection.dialect.name, table).from_select(columns, theirs)
    keys = list(table.primary_key.columns)
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=_grown(table, statement)))
    return connection.execute(table.delete().where(its)).rowcount
