"""What CODER_PROMETHEUS_COLLECT_DB_METRICS measures, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Connection, Select, cte, func, insert, select, update
from sqlalchemy.dialects import postgresql

from collector.persist import engine, tables
from collector.persist.engine import open_store
from collector.persist.measured import Connections, MeasuredStore, family
from collector.persist.meta import note_backup
from tests.aibridge import SERVER_JSON
from tests.persist.test_aibridge import stored as store_log


@pytest.fixture
async def measured(migrated_url: str) -> AsyncIterator[MeasuredStore]:
    """A measured store with all its tables."""
    opened = open_store(migrated_url, measured=True)
    assert isinstance(opened, MeasuredStore)
    yield opened
    await opened.close()


def observed(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"collector_db_{name}_seconds_count", labels) or 0.0


async def test_queries_are_told_by_what_they_do(measured: MeasuredStore) -> None:
    """What SQLAlchemy executes and what goes to the driver below it is counted under verb and table, also when it reads."""
    names = ("insert_meta", "select_meta", "insert_aibridge_interceptions", "insert_aibridge_token_usages")
    before = {name: observed("query", query=name) for name in names}
    await measured.transact(lambda connection: note_backup(connection, 1))
    await measured.read(lambda connection: connection.scalar(select(func.count()).select_from(tables.meta)))
    await store_log(measured, SERVER_JSON)

    assert [observed("query", query=name) - before[name] for name in names] == [1, 1, 1, 1]


async def test_transactions_are_told_by_kind_and_end(measured: MeasuredStore) -> None:
    """Reading and writing apart, and those that failed apart from those that did not."""
    kinds = [("read", "true"), ("write", "true"), ("write", "false")]
    before = [observed("transaction", kind=kind, success=success) for kind, success in kinds]
    await measured.read(engine.ping)
    await measured.transact(engine.ping)
    with pytest.raises(ZeroDivisionError):
        await measured.transact(lambda _: 1 // 0)

    after = [observed("transaction", kind=kind, success=success) for kind, success in kinds]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1]


async def test_connections_are_counted_while_they_work(measured: MeasuredStore) -> None:
    """One that is in a transaction is in use, and idle when that has ended."""
    inside: list[Connections] = []
    await measured.read(lambda _: inside.append(measured.connections()))
    after = measured.connections()

    assert (inside[0].in_use, inside[0].waiting) == (1, 0)
    assert (after.in_use, after.waiting) == (0, 0)
    assert after.idle >= 1


async def test_who_waits_is_counted(migrated_url: str) -> None:
    """With one connection for all, the second of two transactions waits for the first."""
    opened = open_store(migrated_url, pool_size=1, measured=True)
    assert isinstance(opened, MeasuredStore)
    seen: list[Connections] = []

    def look(_: Connection) -> None:
        seen.append(opened.connections())

    await asyncio.gather(opened.transact(look), opened.transact(look))
    assert seen[0] == Connections(in_use=1, idle=0, waiting=1)
    assert seen[1].waiting == 0
    await opened.close()


def test_a_family_comes_from_a_closed_list() -> None:
    """Whatever a statement looks like, it is one of ours with its verb, or other."""
    violations = tables.violations
    locked: Select[tuple[int]] = select(violations.c.id).with_for_update()
    named = select(cte(select(violations.c.id), "due"))
    statements = {
        str(insert(violations)): "insert_violations",
        str(locked.compile(dialect=postgresql.dialect())): "select_violations",  # type: ignore[no-untyped-call] # it has no types
        str(update(violations).values(count=1)): "update_violations",
        str(violations.delete()): "delete_violations",
        str(named): "select_violations",
        "INSERT INTO meta (key) VALUES (?) ON CONFLICT (key) DO UPDATE SET value = excluded.value": "insert_meta",
        "WITH given (a) AS (VALUES (?)) INSERT INTO csp_minutes SELECT a FROM given JOIN violations": "insert_csp_minutes",
        'SELECT count(*) FROM (SELECT 1 FROM "users") AS x': "select_users",
        "SELECT 1 FROM somebody_elses": "other",
        "DELETE FROM somebody_elses": "other",
        "BEGIN IMMEDIATE": "other",
    }
    assert {sql: family(sql) for sql in statements} == statements
