"""How many connections to PostgreSQL there are, during the work and after it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from collector.persist.engine import open_store
from tests.postgres import PostgresServer

# The server's own view; a connection that was closed may still be shown for a moment.
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'collector'"


def count(connection: Connection) -> int:
    return int(connection.exec_driver_sql(OPEN).scalar_one())


@pytest.mark.parametrize(("pool_size", "idle"), [(4, 1), (4, 4), (1, 1)])
async def test_connections_are_limited_and_the_idle_ones_too(postgres: PostgresServer, pool_size: int, idle: int) -> None:
    """However much is asked at once no more than the limit is open, and what is not to stay idle is closed afterwards."""
    store = open_store(postgres.fresh_url(), pool_size=pool_size, idle=idle)
    try:
        at_once: list[int] = []
        async with asyncio.timeout(30):
            while max(at_once, default=0) < pool_size:  # on a busy machine short reads may take turns by chance
                at_once += await asyncio.gather(*(store.read(count) for _ in range(12)))
        assert max(at_once) == pool_size
        async with asyncio.timeout(30):
            while await store.read(count) > idle:
                pass
        assert await store.read(count) == idle
    finally:
        await store.close()
