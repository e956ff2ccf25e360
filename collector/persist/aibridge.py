"""AI bridge records -> rows: one an interception, and one a token usage, prompt, tool usage and thought."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, case, func, select

from collector.persist import aibridge_totals
from collector.persist.aibridge_tables import (
    aibridge_interceptions,
    aibridge_model_thoughts,
    aibridge_prompts,
    aibridge_token_usages,
    aibridge_tool_usages,
)
from collector.persist.engine import insert
from collector.wire.aibridge import (
    AibridgeRecord,
    InterceptionEnd,
    InterceptionStart,
    ModelThought,
    Prompt,
    Text,
    TokenUsage,
    ToolUsage,
)

Row = dict[str, Any]

NS_PER_MS = 10**6
_OF_START = ("initiator_id", "api_key_id", "provider", "model")


def store(
    connection: Connection,
    records: Sequence[AibridgeRecord],
    *,
    deployment: str,
    received_at: int,
    counted_since: int = 0,
) -> list[AibridgeRecord]:
    """Store ``records``, in any order, and return those that were new, in the order given.

    An interception starts once and ends once: a second start or end changes nothing, and neither does a record that says
    what a stored one says. What is new is counted in the running totals too, of interceptions that started at
    ``counted_since`` (ms) or later: of older ones retention may have deleted what says that they were counted.
    """
    if not records:
        return []
    aibridge_totals.take_turn(connection)
    known = _known(connection, deployment, {record.interception_id for record in records})
    folded = _folded(records, known)
    rows = [of_one.row | {"deployment": deployment, "received_at": received_at} for of_one in folded.values()]
    told = {row.interception_id: _told(row, known.get(row.interception_id)) for row in _upsert(connection, rows)}
    new = {id(record) for of_one in folded.values() for record in of_one.new}
    new |= _insert_new(connection, records, told)
    found = [record for record in records if id(record) in new]
    of_one_id = defaultdict(list)
    for record in found:
        of_one_id[told[record.interception_id].id].append(record)
    counted = [one for one in told.values() if one.started_at >= counted_since]
    aibridge_totals.count(connection, counted, of_one_id, deployment=deployment, received_at=received_at)
    return found


def _told(row: Any, before: tuple[bool, bool] | None) -> aibridge_totals.Told:
    return aibridge_totals.Told(row.id, row.provider, row.model, row.initiator_id, row.started_at, row.ended_at, before)


def _insert_new(
    connection: Connection, records: Sequence[AibridgeRecord], told: Mapping[str, aibridge_totals.Told]
) -> set[int]:
    """Insert the records that belong to interceptions; which of them were new, by Python's ids."""
    new = set()
    for kind, table, row_of in STATIONS:
        of_kind = {(told[r.interception_id].id, r.key): r for r in reversed(records) if isinstance(r, kind)}
        new |= {id(of_kind[key]) for key in _insert(connection, table, {key: row_of(r) for key, r in of_kind.items()})}
    return new


class _Folded(NamedTuple):
    """What some records say of one interception, and the start and end among them that are the first."""

    row: Row
    new: list[AibridgeRecord]


def _known(connection: Connection, deployment: str, names: set[str]) -> dict[str, tuple[bool, bool]]:
    """Whether the stored ones of ``names`` have started, and whether they have ended."""
    columns = aibridge_interceptions.c
    found = connection.execute(
        select(columns.interception_id, columns.provider, columns.ended_at).where(
            columns.deployment == deployment, columns.interception_id.in_(names)
        )
    )
    return {name: (provider is not None, ended_at is not None) for name, provider, ended_at in found}


def _folded(records: Sequence[AibridgeRecord], known: dict[str, tuple[bool, bool]]) -> dict[str, _Folded]:
    folded: dict[str, _Folded] = {}
    for record in records:
        name, at = record.interception_id, record.at // NS_PER_MS
        if name not in folded:
            empty = {"interception_id": name, **dict.fromkeys(_OF_START), "started_at": at, "ended_at": None}
            folded[name] = _Folded(empty, [])
        row, new = folded[name]
        started, ended = known.get(name, (False, False))
        if isinstance(record, InterceptionStart) and row["provider"] is None:
            row |= {field: getattr(record, field) for field in _OF_START} | {"started_at": at}
            new += [] if started else [record]
        elif isinstance(record, InterceptionEnd) and row["ended_at"] is None:
            row["ended_at"] = at
            new += [] if ended else [record]
        if row["provider"] is None:
            row["started_at"] = min(row["started_at"], at)
    return folded


def _upsert(connection: Connection, rows: list[Row]) -> Sequence[Any]:
    """The interceptions as they are stored then."""
    stored = aibridge_interceptions.c
    statement = insert(connection.dialect.name, aibridge_interceptions)
    new = statement.excluded
    earliest = case((new.started_at < stored.started_at, new.started_at), else_=stored.started_at)
    changes = {
        **{field: func.coalesce(stored[field], new[field]) for field in (*_OF_START, "ended_at")},
        # Of the start, once that has come; before, the earliest time of all.
        "started_at": case(
            (stored.provider.is_not(None), stored.started_at), (new.provider.is_not(None), new.started_at), else_=earliest
        ),
        "received_at": new.received_at,
    }
    statement = statement.on_conflict_do_update(index_elements=["deployment", "interception_id"], set_=changes)
    # In the order of the key, for everyone the same: two PostgreSQL writers that lock rows crosswise deadlock.
    rows = sorted(rows, key=lambda row: str(row["interception_id"]))
    told = stored.interception_id, stored.id, *(stored[field] for field in (*_OF_START, "started_at", "ended_at"))
    return connection.execute(statement.returning(*told), rows).all()


def _insert(connection: Connection, table: Table, rows: dict[tuple[int, bytes], Row]) -> list[tuple[int, bytes]]:
    """Insert what is not there yet, each row under its key, and return the keys of that."""
    if not rows:
        return []
    statement = insert(connection.dialect.name, table).on_conflict_do_nothing()
    statement = statement.returning(table.c.interception, table.c.key)
    values = [{"interception": key[0], "key": key[1], **rows[key]} for key in sorted(rows)]
    return [(interception, bytes(key)) for interception, key in connection.execute(statement, values)]


def _token_usage(record: TokenUsage) -> Row:
    return {"created_at": record.at // NS_PER_MS, **msgspec.structs.asdict(record.tokens)}


def _prompt(record: Prompt) -> Row:
    return {"created_at": record.at // NS_PER_MS, **_text("prompt", record.prompt)}


def _tool_usage(record: ToolUsage) -> Row:
    return {
        "created_at": record.at // NS_PER_MS,
        "tool": record.tool,
        "server_url": record.server_url,
        "injected": record.injected,
        "invocation_error": record.invocation_error,
        **_text("input", record.input),
    }


def _thought(record: ModelThought) -> Row:
    return {"created_at": record.at // NS_PER_MS, **_text("content", record.content)}


def _text(name: str, text: Text) -> Row:
    return {f"{name}_length": text.length, f"{name}_hash": text.hash, name: text.kept}


STATIONS: tuple[tuple[type[Any], Table, Callable[[Any], Row]], ...] = (
    (TokenUsage, aibridge_token_usages, _token_usage),
    (Prompt, aibridge_prompts, _prompt),
    (ToolUsage, aibridge_tool_usages, _tool_usage),
    (ModelThought, aibridge_model_thoughts, _thought),
)
