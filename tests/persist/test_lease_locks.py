"""A lease on PostgreSQL, where a transaction of the leader and a takeover can meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from collector.persist.engine import SCHEMA, Store, open_store
from collector.persist.leadership import Leadership
from collector.persist.lease import Claim, fenced, lease
from collector.persist.libpq import asyncpg_connect_args
from collector.persist.tables import leases, projects
from tests.postgres import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer, migrated_template: str) -> str:
    """A migrated PostgreSQL."""
    return postgres.fresh_url(copy_of=migrated_template)


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Store]:
    """The same, opened."""
    store = open_store(url)
    yield store
    await store.close()


@asynccontextmanager
async def writing(url: str, claim: Claim) -> AsyncIterator[AsyncConnection]:
    """The leader of epoch 1 in the middle of a write: its row is in the transaction, COMMIT is still to come."""
    engine = create_async_engine(
        "postgresql+asyncpg://", connect_args=asyncpg_connect_args(url, server_settings={"search_path": SCHEMA})
    )
    async with engine.connect() as connection:
        await connection.run_sync(lambda c: fenced(c, claim, 1, add_one))
        yield connection
    await engine.dispose()


def add_one(connection: Connection) -> None:
    """Work of one statement."""
    connection.execute(insert(projects).values(name="written", created_at=0))


def counted(connection: Connection) -> int:
    """What work has left."""
    return connection.scalar(select(func.count()).select_from(projects)) or 0


def run_out(connection: Connection) -> None:
    """Let the lease be over, as its time would."""
    connection.execute(update(leases).values(expires_at=1))


def waiting(connection: Connection) -> int:
    """How many sessions wait for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return int(connection.exec_driver_sql(sql).scalar_one())


async def test_renewing_does_not_wait_for_a_write(url: str, opened: Store) -> None:
    """A write that takes longer than the lease does not cost the lead."""
    leader = Leadership(opened, opened.transact, ttl=30)
    await leader.look()
    async with writing(url, Claim("jobs", leader.holder, 30_000)), asyncio.timeout(60):
        before = await opened.read(lambda connection: lease(connection, "jobs"))
        await leader.look()
        after = await opened.read(lambda connection: lease(connection, "jobs"))
    assert before is not None
    assert after is not None
    assert after.renewed_at > before.renewed_at
    await leader.stop()


async def test_taking_over_waits_for_the_end_of_a_write(url: str, opened: Store) -> None:
    """What was fenced in time is committed before anybody else leads."""
    old, new = (Leadership(opened, opened.transact, ttl=30) for _ in range(2))
    await old.look()
    async with writing(url, Claim("jobs", old.holder, 30_000)) as connection:
        await opened.transact(run_out)
        taking = asyncio.create_task(new.look())
        async with asyncio.timeout(60):
            while not await opened.read(waiting):
                pass
        assert not new.leads
        await connection.commit()
        await taking
    assert new.epoch == 2
    assert await opened.read(counted) == 1
    await new.stop()


async def test_a_leader_paused_in_a_write_holds_nobody_up(url: str, opened: Store) -> None:
    """Its session is ended by the database, and with it all of its transaction."""
    old, new = (Leadership(opened, opened.transact, ttl=0.6) for _ in range(2))
    await old.look()
    async with writing(url, Claim("jobs", old.holder, 600)) as connection:
        async with asyncio.timeout(60):
            while not new.leads:
                await new.look()
        with pytest.raises(DBAPIError):
            await connection.commit()
        await connection.invalidate()
    assert await opened.read(counted) == 0
    await new.stop()
