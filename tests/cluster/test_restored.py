"""Yesterday's database put in the place of today's while intake goes on: the stream brings what it lacks."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.cluster.world import World, everything, loaded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PHASE_S = 3  # of load before and after the backup
LATER = 10_000_000  # the first number of the second load


def name_of(url: str) -> str:
    """The database that ``url`` names."""
    return url.rpartition("/")[2].partition("?")[0]


def back_up(world: World) -> str:
    """A copy of the database as it is now, by its name: PostgreSQL copies one that nobody is connected to."""
    name = name_of(world.database_url)
    copied = name_of(world.postgres.fresh_url())
    world.postgres.psql("postgres", f"DROP DATABASE {copied}")
    world.postgres.psql("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        _disconnect(world, name)
        world.postgres.psql("postgres", f"CREATE DATABASE {copied} TEMPLATE {name} STRATEGY FILE_COPY")
    finally:
        world.postgres.psql("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    return copied


def restore(world: World, copied: str) -> None:
    """Put the copy in the place of the database."""
    name = name_of(world.database_url)
    world.postgres.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")
    world.postgres.psql("postgres", f"ALTER DATABASE {copied} RENAME TO {name}")


def _disconnect(world: World, name: str) -> None:
    """End everybody's connection, and wait until they are gone (ms)."""
    ending = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
    world.postgres.psql("postgres", ending)


async def test_a_restored_postgresql_catches_up_under_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A backup is restored while browsers and agents send on: nobody is refused, and everything is stored once."""
    with everything(tmp_path, servers=1) as world:
        async with loaded(world.services, first=1) as before:
            await asyncio.sleep(PHASE_S)  # of load
            copied = await asyncio.to_thread(back_up, world)
            await asyncio.sleep(PHASE_S)  # of load, which the backup lacks
        await world.until_drained()
        async with loaded(world.services, first=LATER) as after:
            await asyncio.to_thread(restore, world, copied)
            await asyncio.sleep(PHASE_S)  # of load
        sent, agents = before.csp_sent + after.csp_sent, before.agents_acknowledged | after.agents_acknowledged
        async with asyncio.timeout(120):
            while (await world.stored()).reports < sent or len((await world.stored()).agents) < len(agents):  # noqa: ASYNC110
                await asyncio.sleep(0.5)  # it finds out by itself that its database is an older one
        await world.until_drained()
        stored = await world.stored()
    with capsys.disabled():
        sys.stdout.write(f"\n{sent} CSP reports sent, {stored.reports} counted; {len(agents)} agent reports acknowledged\n")
    assert (before.refusals, after.refusals) == ({}, {})
    assert stored.reports == sent
    assert stored.agents == dict.fromkeys(agents, 1)
