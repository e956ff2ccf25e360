from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Boolean, Connection, Table, Text, insert, select, update

from collector.persist import history_tables, tables
from collector.persist.aibridge_tables import OF_AN_INTERCEPTION, TOTALS
from collector.persist.engine import SqliteStore, Store
from collector.rollup.csp import SLICE_ROWS
from collector.rollup.retention import RULES, Retentions, interceptions_rule, purge
from collector.rollup.slices import return_space
from tests.rollup.rows import NOW, add_bucket, add_project, add_violation, buckets, rows

T = TypeVar("T")

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KEEP = Retentions()

AGENT = {"deployment": "d", "workspace_id": "w", "user_id": "u", "template_id": "t"}
STATS = {
    column.name: 1
    for column in tables.agent_stats.c
    if column.name not in ("id", "agent", "received_at", "collected_at") and not column.nullable
}
SNAPSHOT = {column.name: 0 for column in tables.snapshots.c if column.name not in ("deployment", "collected_at", "source")} | {
    "source": "reports"
}
POINT = {column.name: 0 for column in history_tables.history_hours.c} | {"source": "reports"}
GROUP = {column.name: 0 for column in history_tables.workspace_groups.c} | {
    "organization": "o",
    "template": "t",
    "prebuilt": False,
}
WORKSPACE = {"deployment": "d", "name": "billing", "owner_id": "o", "template_id": "t"}
KEY = {"deployment": "d", "kind": "feed", "secret_hash": b"x", "created_at": 0}
TOKEN = {"user_id": "u", "secret_hash": b"x", "created_at": 0}
ITEM = {"deployment": "d", "kind": "workspace", "facts": "{}"}
BUILD = {"deployment": "d", "id": "b", "job_id": "j"}
JOB = {"deployment": "d", "updated_at": 0, "failed": False}
SERVER = {"deployment": "d", "kubernetes": False, "cpu_cores": 1, "memory_total": 1}


def total(table: Table) -> dict[str, Any]:
    """A row of sums."""
    plain = {Text: "", Boolean: False}
    return {column.name: plain.get(type(column.type), 0) for column in table.columns}


# By table: when its rows are due, rows older than that, rows that are not, and rows that time does not matter to.
TIMED: dict[str, tuple[int, Callable[[int], dict[str, Any]], list[dict[str, Any]]]] = {
    "agent_stats": (NOW - KEEP.agent_stats, lambda at: STATS | {"agent": 1, "received_at": at}, []),
    "agent_report_ids": (
        NOW - 2 * KEEP.agent_stats,
        lambda at: {"deployment": "d", "report_id": str(at).encode(), "received_at": at},
        [],
    ),
    "agents": (NOW - KEEP.agent_stats, lambda at: AGENT | {"agent_id": str(at), "last_seen": at}, []),
    "workspaces": (
        NOW - KEEP.workspaces,
        lambda at: WORKSPACE | {"id": str(at), "deleted": True, "updated_at": at},
        [WORKSPACE | {"id": "alive", "deleted": False, "updated_at": 0}],
    ),
    "snapshots": (NOW - KEEP.snapshots, lambda at: SNAPSHOT | {"deployment": f"d{at % 2}", "collected_at": at}, []),
    "history_minutes": (NOW - KEEP.history_minutes, lambda at: POINT | {"deployment": f"d{at % 2}", "at": at}, []),
    "history_hours": (NOW - KEEP.history_hours, lambda at: POINT | {"deployment": f"d{at % 2}", "at": at}, []),
    "history_days": (NOW - KEEP.history_hours, lambda at: POINT | {"deployment": f"d{at % 2}", "at": at}, []),
    "workspace_groups": (
        NOW - KEEP.history_minutes,
        lambda at: GROUP | {"deployment": f"d{at % 2}", "at": at},
        [],
    ),
    "snapshot_sources": (
        NOW - KEEP.history_hours,
        lambda at: {"deployment": str(at), "source": "reports", "last_success_at": at},
        [],
    ),
    "tokens": (
        NOW - KEEP.tokens,
        lambda at: TOKEN | {"id": str(at), "expires_at": at},
        [TOKEN | {"id": "valid", "expires_at": NOW + DAY_MS}],
    ),
    "sessions": (
        NOW - KEEP.sessions,
        lambda at: {"id": str(at), "token_id": "valid", "secret_hash": b"x", "expires_at": at},
        [],
    ),
    "ingest_keys": (
        NOW - KEEP.ingest_keys,
        lambda at: KEY | {"project_id": 1, "id": str(at), "revoked_at": at},
        [KEY | {"project_id": 1, "id": "valid", "revoked_at": None}],
    ),
    "inventory": (
        NOW - KEEP.inventory,
        lambda at: ITEM | {"id": str(at), "since": 0, "until": at},
        [ITEM | {"id": "w", "since": 0, "until": None}],
    ),
    "telemetry_builds": (
        NOW - KEEP.inventory,
        lambda at: BUILD | {"workspace_id": "gone", "build_number": abs(at), "seen_at": at},
        # The newest of a workspace that exists, however old it is.
        [BUILD | {"workspace_id": "w", "build_number": 1, "job_id": "kept", "seen_at": 1}],
    ),
    "telemetry_jobs": (
        NOW - KEEP.jobs,
        lambda at: JOB | {"id": str(at), "seen_at": at},
        [JOB | {"id": "kept", "seen_at": 1}],
    ),
    "telemetry_servers": (NOW - KEEP.inventory, lambda at: SERVER | {"machine_id": str(at), "seen_at": at}, []),
    **{
        table.name: (
            NOW - KEEP.aibridge_totals,
            lambda at, table=table: total(table) | {"model": str(at), "counted_at": at},  # type: ignore[misc]
            [],
        )
        for table in TOTALS
    },
    "writer_marks": (NOW - KEEP.writer_marks, lambda at: {"writer": str(at), "batch": 1, "at": at}, []),
}


def table_of(name: str) -> Table:
    """The table that a rule is named after."""
    return tables.metadata.tables[name]


async def prepare(store: Store) -> None:
    """The project and the user that other rows belong to."""

    def work(connection: Connection) -> None:
        add_project(connection)
        connection.execute(insert(tables.users).values(id="u", username="grace", role="owner", created_at=0))

    await store.transact(work)


def test_every_growing_table_has_a_rule() -> None:
    """A table without a rule is one that only people, closed lists, or a rule for what it belongs to let grow."""
    by_people = {"meta", "users", "projects", "project_members", "ignore_rules", "agent_tokens", "erased_users"}
    by_deployments = {"deployments", "telemetry_states", "shown_snapshots"}  # one row for each, and they are counted
    closed = {"csp_totals", "drop_totals", "other_report_totals", "noise_rule_totals", "project_activity", "leases"}
    by_acknowledgements = {"message_streams", "applied_messages"}  # the consumer of the stream has them go
    with_violations = {"csp_days", "csp_samples", "violation_facets", "violation_clients"}
    with_interceptions = {table.name for table in OF_AN_INTERCEPTION}
    with_workspaces = {"workspace_build_totals"}
    ruled = {rule.name for rule in (*RULES, interceptions_rule(NOW))}
    rules = ruled - {"project_violations"}  # the same table by another rule
    unruled = by_people | by_deployments | closed | by_acknowledgements
    unruled |= with_violations | with_interceptions | with_workspaces
    assert rules | unruled == set(tables.metadata.tables)


async def test_rows_go_when_they_are_due(store: Store) -> None:
    """In every table what is older than its retention goes, what is younger or alive stays, and each is counted."""
    await prepare(store)

    def fill(connection: Connection) -> None:
        for name, (due, row, alive) in TIMED.items():
            for values in (row(due - 1), row(due - DAY_MS), row(due), row(due + 1), *alive):
                connection.execute(insert(table_of(name)).values(values))

    await store.transact(fill)
    counts = await purge(store.transact, KEEP, now=NOW)
    left = await store.read(lambda connection: {name: rows(connection, table_of(name)) for name in TIMED})

    assert {name: counts[name] for name in TIMED} == dict.fromkeys(TIMED, 2)
    assert left == {name: 2 + len(alive) for name, (_, _, alive) in TIMED.items()}
    assert set((await purge(store.transact, KEEP, now=NOW)).values()) == {0}


async def test_revoked_tokens_go_before_they_expire(store: Store) -> None:
    """A token that was revoked long ago goes, however long it would have been valid."""
    await prepare(store)

    def fill(connection: Connection) -> None:
        for name, revoked_at in (("old", NOW - KEEP.tokens - 1), ("new", NOW - 1), ("never", None)):
            row = TOKEN | {"id": name, "expires_at": NOW + 1_000 * DAY_MS, "revoked_at": revoked_at}
            connection.execute(insert(tables.tokens).values(row))

    await store.transact(fill)
    await purge(store.transact, KEEP, now=NOW)
    assert set(await store.read(lambda c: c.scalars(select(tables.tokens.c.id)).all())) == {"new", "never"}


async def test_an_unseen_violation_goes_with_all_its_rows(store: Store) -> None:
    """Buckets and samples of a violation go with it, those of others stay, and no running sum is lowered."""

    def fill(connection: Connection) -> None:
        project = add_project(connection)
        for name, last_seen in (("unseen", NOW - KEEP.violations - 1), ("seen", NOW - KEEP.violations)):
            violation = add_violation(connection, project, name, last_seen=last_seen)
            for table in (tables.csp_minutes, tables.csp_hours, tables.csp_days):
                add_bucket(connection, table, violation, NOW // 60_000)
            connection.execute(insert(tables.csp_samples).values(violation_id=violation, slot=0, seen_at=last_seen))
        total = {"effective_directive": "img-src", "disposition": "report", "noise_class": "", "count": 2}
        connection.execute(insert(tables.csp_totals).values(total | {"project_id": project}))

    await store.transact(fill)
    counts = await purge(store.transact, KEEP, now=NOW)

    def left(connection: Connection) -> list[int]:
        names = ("violations", "csp_minutes", "csp_hours", "csp_days", "csp_samples", "csp_totals")
        return [rows(connection, table_of(name)) for name in names]

    assert counts["violations"] == 1
    assert await store.read(lambda c: c.scalars(select(tables.violations.c.fingerprint)).all()) == ["seen"]
    assert await store.read(left) == [1, 1, 1, 1, 1, 1]


async def test_old_minutes_become_hours_and_old_hours_days(store: Store) -> None:
    """A purge folds what is past its retention, on the way of one purge from minutes to days."""

    def fill(connection: Connection) -> None:
        violation = add_violation(connection, add_project(connection), "a")
        for age in (KEEP.csp_minutes, KEEP.csp_minutes + HOUR_MS, KEEP.csp_hours + DAY_MS):
            add_bucket(connection, tables.csp_minutes, violation, (NOW - age) // 60_000)

    await store.transact(fill)
    counts = await purge(store.transact, KEEP, now=NOW)

    assert (counts["csp_minutes"], counts["csp_hours"]) == (2, 1)
    ages = {
        table.name: [NOW // 60_000 - bucket for _, bucket, *_ in await store.read(lambda c, table=table: buckets(c, table))]  # type: ignore[misc]
        for table in (tables.csp_minutes, tables.csp_hours, tables.csp_days)
    }
    assert ages == {"csp_minutes": [48 * 60], "csp_hours": [49 * 60], "csp_days": [91 * 24 * 60 + 10 * 60]}


async def test_no_transaction_deletes_more_than_a_slice(store: Store) -> None:
    """A backlog goes in several transactions of at most a slice each."""
    backlog = 2 * SLICE_ROWS + 1
    row = STATS | {"agent": 1, "received_at": 0}
    await store.transact(lambda connection: connection.execute(insert(tables.agent_stats), [row] * backlog))
    left = [backlog]

    async def write(work: Callable[[Connection], T]) -> T:
        result = await store.transact(work)
        left.append(await store.read(lambda connection: rows(connection, tables.agent_stats)))
        return result

    counts = await purge(write, KEEP, now=NOW)

    assert counts["agent_stats"] == backlog
    assert left[-1] == 0
    assert max(before - after for before, after in pairwise(left)) == SLICE_ROWS


async def test_a_failed_slice_leaves_what_was_done(store: Store) -> None:
    """A purge that the store interrupts keeps its committed slices, and the next one does the rest."""
    backlog = 2 * SLICE_ROWS
    row = STATS | {"agent": 1, "received_at": 0}
    await store.transact(lambda connection: connection.execute(insert(tables.agent_stats), [row] * backlog))

    async def write(work: Callable[[Connection], T]) -> T:
        if await store.read(lambda connection: rows(connection, tables.agent_stats)) < backlog:
            raise ConnectionResetError
        return await store.transact(work)

    with pytest.raises(ConnectionResetError):
        await purge(write, KEEP, now=NOW)
    assert (await purge(store.transact, KEEP, now=NOW))["agent_stats"] == backlog - SLICE_ROWS


def checkpointed_size(path: Path) -> int:
    """Bytes of the database file, once all that was committed is in it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


async def test_the_file_shrinks_after_a_purge(store: Store) -> None:
    """On SQLite the space of deleted rows goes back to the file system; PostgreSQL keeps it for rows to come."""
    row = STATS | {"agent": 1, "received_at": 0}
    await store.transact(lambda connection: connection.execute(insert(tables.agent_stats), [row] * 40_000))
    if not isinstance(store, SqliteStore):
        assert (await purge(store.transact, KEEP, now=NOW))["free_pages"] == 0
        return
    before = checkpointed_size(store.path)

    counts = await purge(store.transact, KEEP, now=NOW)

    after = checkpointed_size(store.path)
    assert counts["agent_stats"] == 40_000
    assert before - after >= counts["free_pages"] * 4096 > before * 2 / 3


async def test_space_is_returned_in_slices(store: Store) -> None:
    """One slice returns no more pages than its limit, and all that was freed goes in the end."""
    if store.dialect == "postgresql":
        assert await store.transact(return_space) == (0, None)
        return
    await store.transact(lambda c: c.execute(insert(tables.meta).values(key="large", value="x" * 1_000_000)))
    await store.transact(lambda c: c.execute(tables.meta.delete()))

    def pages(connection: Connection) -> tuple[int, int]:
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "freelist_count"))

    count, free = await store.read(pages)
    assert free > 200

    assert await store.transact(lambda connection: return_space(connection, limit=100)) == (100, 0)
    assert await store.read(pages) == (count - 100, free - 100)
    assert await store.transact(return_space) == (free - 100, None)
    # Pages that map where others are go with those they describe.
    assert (await store.read(pages))[1] == 0


async def test_a_project_may_keep_its_violations_for_less_long(store: Store) -> None:
    """What one project keeps for thirty days goes then; what another keeps as long as the service does stays."""

    def work(connection: Connection) -> None:
        short, usual = add_project(connection, "short"), add_project(connection, "usual")
        connection.execute(update(tables.projects).where(tables.projects.c.id == short).values(retention_days=30))
        for project, name in ((short, "gone"), (usual, "kept")):
            add_violation(connection, project, name, last_seen=NOW - 31 * DAY_MS)
        add_violation(connection, short, "young", last_seen=NOW - 29 * DAY_MS)

    await store.transact(work)
    assert (await purge(store.transact, KEEP, now=NOW))["project_violations"] == 1
    left = await store.read(lambda connection: set(connection.scalars(select(tables.violations.c.fingerprint))))
    assert left == {"kept", "young"}
