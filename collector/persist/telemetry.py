"""Telemetry -> rows: the inventory with its history, builds, their jobs, and the use of one moment.

Storing a message again changes nothing but times of receipt: rows are found by their ids, never added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, case, insert, select, update

from collector.persist import engine
from collector.persist.deployments import note_deployment
from collector.persist.telemetry_tables import inventory, telemetry_builds, telemetry_jobs, telemetry_servers, telemetry_states
from collector.wire.inventory import BuildJob, Item, TelemetryIntake, TelemetryServer, TelemetryUse

# A full list that was read just before something was made does not name it, and may come after the message that does.
OVERTAKEN_MS = 2 * 60 * 1000
NAMED_AT_MOST = 500  # items that are looked for by their ids; of more, all of their kinds are read

Key = tuple[str, str]  # kind and id


class _Known(NamedTuple):
    since: int
    created_at: int | None
    name: str | None
    user_id: str | None
    facts: str


def store(connection: Connection, intakes: Sequence[TelemetryIntake]) -> None:
    """Store ``intakes`` in order."""
    # By deployment for all writers the same: two PostgreSQL transactions that lock rows crosswise deadlock.
    for intake in sorted(intakes, key=lambda intake: intake.deployment):
        note_deployment(connection, intake.deployment, now=intake.received_at)
        _store_state(connection, intake)  # first: its row is the lock of the deployment
        _store_items(connection, intake)
        _store_builds(connection, intake)
        _store_jobs(connection, intake)


def store_servers(connection: Connection, servers: Sequence[TelemetryServer]) -> None:
    """Upsert ``servers`` by (deployment, machine)."""
    for server in sorted(servers, key=lambda server: (server.deployment, server.machine_id)):
        note_deployment(connection, server.deployment, now=server.received_at)
        row = msgspec.structs.asdict(server)
        row["seen_at"] = row.pop("received_at")
        statement = engine.insert(connection.dialect.name, telemetry_servers).values(row)
        changes = {name: statement.excluded[name] for name in row if name not in ("deployment", "machine_id")}
        connection.execute(statement.on_conflict_do_update(index_elements=["deployment", "machine_id"], set_=changes))


# ── The deployment ─────────────────────────────────────────────────────────────────────────────────────────────────
def _store_state(connection: Connection, intake: TelemetryIntake) -> None:
    """The newest message of any kind, and the use of the newest full one, whole."""
    if intake.use is None and not intake.rows:
        return  # it told of nothing that is kept
    full_at = 0 if intake.use is None else intake.received_at
    row = {"deployment": intake.deployment, "message_at": intake.received_at, "full_at": full_at, **_use(intake.use)}
    statement = engine.insert(connection.dialect.name, telemetry_states).values(row)
    new, old = statement.excluded, telemetry_states.c
    changes: dict[str, Any] = {"message_at": case((new.message_at > old.message_at, new.message_at), else_=old.message_at)}
    if intake.use is not None:
        newer = new.full_at >= old.full_at
        names = [name for name in row if name not in ("deployment", "message_at")]
        changes |= {name: case((newer, new[name]), else_=old[name]) for name in names}
    connection.execute(statement.on_conflict_do_update(index_elements=["deployment"], set_=changes))


def _use(use: TelemetryUse | None) -> dict[str, Any]:
    if use is None:
        counts = ("aggregated_from", "rx_bytes", "tx_bytes")
        sessions = (column.name for column in telemetry_states.columns if column.name.startswith("session_count_"))
        return {"latency_p50_ms": -1.0, "latency_p95_ms": -1.0, **dict.fromkeys((*counts, *sessions), 0)}
    row = msgspec.structs.asdict(use)
    sessions = row.pop("sessions")
    return {**row, **{f"session_count_{app}": count for app, count in msgspec.structs.asdict(sessions).items()}}


# ── The inventory ──────────────────────────────────────────────────────────────────────────────────────────────────
def _store_items(connection: Connection, intake: TelemetryIntake) -> None:
    items = {(item.kind.value, item.id): item for item in intake.items}  # of one that is there twice, the last counts
    if not items and not intake.complete:
        return
    known = dict(_known(connection, intake, items.values()))
    ended = [key for key, item in items.items() if item.deleted and key in known]
    ended += [key for key in known if key not in items and _is_gone(key, known[key], intake)]
    changed = [item for key, item in items.items() if not item.deleted and _state(item) != known.get(key, (0,))[1:]]
    ended += [key for item in changed if (key := (item.kind.value, item.id)) in known]
    if ended:
        connection.execute(_END, [_end(intake, key, known[key]) for key in ended])
    if changed:
        connection.execute(insert(inventory), [_row(intake, item, known) for item in changed])


def _known(connection: Connection, intake: TelemetryIntake, items: Iterable[Item]) -> Iterator[tuple[Key, _Known]]:
    """The current states of the items, and of everything of the kinds whose list is whole."""
    named = [item for item in items if item.kind not in intake.complete]
    kinds = {kind.value for kind in intake.complete}
    columns = inventory.c
    current = select(columns.kind, columns.id, columns.since, columns.created_at, columns.name, columns.user_id, columns.facts)
    current = current.where(columns.deployment == intake.deployment, columns.until.is_(None))
    if len(named) > NAMED_AT_MOST:
        kinds |= {item.kind.value for item in named}
        named = []
    conditions: list[ColumnElement[bool]] = [columns.kind.in_(sorted(kinds))] if kinds else []
    if named:
        conditions.append(columns.kind.in_(sorted({item.kind.value for item in named})) & columns.id.in_([i.id for i in named]))
    for condition in conditions:
        for row in connection.execute(current.where(condition)):
            yield (row.kind, row.id), _Known(*row[2:])


def _is_gone(key: Key, known: _Known, intake: TelemetryIntake) -> bool:
    """Whether what a full list of its kind does not name exists no more."""
    if key[0] not in intake.complete:
        return False
    overtaken = known.since > intake.received_at - OVERTAKEN_MS and (known.created_at or 0) > intake.horizon
    return not overtaken


def _state(item: Item) -> tuple[int | None, str | None, str | None, str]:
    return item.created_at, item.name, item.user_id, item.facts


def _moment(intake: TelemetryIntake, known: _Known | None) -> int:
    """When the new state begins: never in the millisecond in which the old one did, nor before it."""
    return intake.received_at if known is None else max(intake.received_at, known.since + 1)


def _end(intake: TelemetryIntake, key: Key, known: _Known) -> dict[str, Any]:
    return {
        "p_deployment": intake.deployment,
        "p_kind": key[0],
        "p_id": key[1],
        "p_since": known.since,
        "p_until": _moment(intake, known),
    }


def _row(intake: TelemetryIntake, item: Item, known: dict[Key, _Known]) -> dict[str, Any]:
    return {
        "deployment": intake.deployment,
        "kind": item.kind.value,
        "id": item.id,
        "since": _moment(intake, known.get((item.kind.value, item.id))),
        "until": None,
        "created_at": item.created_at,
        "name": item.name,
        "user_id": item.user_id,
        "facts": item.facts,
    }


_END = (
    update(inventory)
    .where(
        inventory.c.deployment == bindparam("p_deployment"),
        inventory.c.kind == bindparam("p_kind"),
        inventory.c.id == bindparam("p_id"),
        inventory.c.since == bindparam("p_since"),
    )
    .values(until=bindparam("p_until"))
)


# ── Builds and jobs ────────────────────────────────────────────────────────────────────────────────────────────────
def _store_builds(connection: Connection, intake: TelemetryIntake) -> None:
    if not intake.builds:
        return
    rows = [
        {"deployment": intake.deployment, "seen_at": intake.received_at, **msgspec.structs.asdict(build)}
        for build in intake.builds
    ]
    connection.execute(engine.insert(connection.dialect.name, telemetry_builds).on_conflict_do_nothing(), rows)


def _store_jobs(connection: Connection, intake: TelemetryIntake) -> None:
    if intake.jobs:
        connection.execute(_upsert_job(connection.dialect.name), [_job_row(intake, job) for job in intake.jobs])
    if intake.transitions:
        rows = [_unknown_job(intake, job_id, transition) for job_id, transition in intake.transitions]
        statement = engine.insert(connection.dialect.name, telemetry_jobs)
        changes = {"transition": statement.excluded.transition}
        connection.execute(statement.on_conflict_do_update(index_elements=["deployment", "id"], set_=changes), rows)


def _job_row(intake: TelemetryIntake, job: BuildJob) -> dict[str, Any]:
    return {"deployment": intake.deployment, "seen_at": intake.received_at, **msgspec.structs.asdict(job)}


def _unknown_job(intake: TelemetryIntake, job_id: str, transition: str) -> dict[str, Any]:
    nothing = BuildJob(job_id, updated_at=0, started_at=None, canceled_at=None, completed_at=None, failed=False)
    return {**_job_row(intake, nothing), "transition": transition}


def _upsert_job(dialect: str) -> Any:
    """The state that the server wrote last stays, in whatever order replicas deliver; what made it seen is the last message."""
    statement = engine.insert(dialect, telemetry_jobs)
    new, old = statement.excluded, telemetry_jobs.c
    newer = new.updated_at >= old.updated_at
    names = ("updated_at", "started_at", "canceled_at", "completed_at", "failed")
    changes: dict[str, Any] = {name: case((newer, new[name]), else_=old[name]) for name in names}
    changes["seen_at"] = case((new.seen_at > old.seen_at, new.seen_at), else_=old.seen_at)
    return statement.on_conflict_do_update(index_elements=["deployment", "id"], set_=changes)
