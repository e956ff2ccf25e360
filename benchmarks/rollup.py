"""What a snapshot takes: of 1,000, 10,000 and 100,000 agents that report every half minute, in both databases.

A window of fifteen minutes has thirty reports of each. The snapshot is built and stored by the code that does it in the
service, and timed by the clock, since a database has threads or processes of its own; SQLite's processor time stands beside
it. The limit is one pass of the same database over the same rows, which adds up one column. Memory is the most that this
process had, against before: what a rollup reads stays in the database.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text

from benchmarks import stored
from benchmarks.clocks import resident_mb
from benchmarks.figures import Figures, Plan, table
from collector.persist.engine import Store, open_store
from collector.persist.migrate import upgrade
from collector.rollup.moment import Asked, moment
from collector.rollup.snapshot import WINDOW_MS, Built, built, keep_all
from tests.postgres import PostgresServer, start_postgres

AGENTS, FEW = (1_000, 10_000, 100_000), (100, 1_000)
DEPLOYMENT, NOW, INTERVAL_MS = "d", 1_768_384_800_000, 30_000
ONE_PASS = f"SELECT sum(rx_bytes) FROM agent_stats WHERE received_at > {NOW - WINDOW_MS}"


class Taken(NamedTuple):
    """One size in one database."""

    database: str
    agents: int
    reports: int
    seconds: list[float]
    cpu_seconds: list[float]  # of this process: with SQLite all there is, with PostgreSQL the asking alone
    limit: list[float]
    grown_mb: float


def measure(plan: Plan) -> Figures:
    """A snapshot of each size, in each database."""
    taken = asyncio.run(_measured(FEW if plan.small else AGENTS, plan.rounds))
    columns = ("kept in", "agents", "reports in the window", "snapshot, median", "longest", "CPU", "to one pass", "memory")
    rows = [
        (
            one.database,
            f"{one.agents:,}",
            f"{one.reports:,}",
            f"{statistics.median(one.seconds) * 1000:,.0f} ms",
            f"{max(one.seconds) * 1000:,.0f} ms",
            f"{statistics.median(one.cpu_seconds) * 1000:,.0f} ms" if one.database == "SQLite" else "",
            f"{statistics.median(one.seconds) / statistics.median(one.limit):.1f}",
            f"+{one.grown_mb:.0f} MB",
        )
        for one in taken
    ]
    return Figures(table(columns, rows), [one._asdict() for one in taken])


async def _measured(sizes: Sequence[int], rounds: int) -> list[Taken]:
    with tempfile.TemporaryDirectory() as directory, start_postgres(Path(directory)) as postgres:
        return [
            await _of_size(name, agents, rounds, Path(directory), postgres)
            for agents in sizes
            for name in ("SQLite", "PostgreSQL")
        ]


async def _of_size(name: str, agents: int, rounds: int, directory: Path, postgres: PostgresServer) -> Taken:
    url = postgres.fresh_url() if name == "PostgreSQL" else f"sqlite:///{directory / f'{agents}.db'}"
    async with migrated(url) as store:
        await stored.agents(store, agents, deployment=DEPLOYMENT, now=NOW)
        reports = await stored.agent_reports(store, since=NOW - WINDOW_MS, until=NOW, apart=INTERVAL_MS)
        if store.dialect == "postgresql":  # what the server itself does within a minute
            await store.transact(lambda connection: connection.execute(text("ANALYZE")))
        before = resident_mb(os.getpid(), "VmHWM")
        seconds, limit, cpu = [], [], []
        for _ in range(rounds):
            limit.append(await _timed(store.read(_one_pass)))
            began = time.process_time()
            seconds.append(await _timed(_snapshot(store)))
            cpu.append(time.process_time() - began)
        return Taken(name, agents, reports, seconds, cpu, limit, resident_mb(os.getpid(), "VmHWM") - before)


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[Store]:
    """The store at ``url``, with its tables."""
    await upgrade(url)
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


async def _snapshot(store: Store) -> None:
    def read(connection: Connection) -> None:
        found = built(connection, DEPLOYMENT, now=NOW, interval_ms=INTERVAL_MS, said={})
        moment(connection, found, Asked(), now=NOW)
        made.append(found)

    made: list[Built] = []
    await store.read(read)
    await store.transact(lambda connection: keep_all(connection, made[0], now=NOW))


def _one_pass(connection: Connection) -> None:
    connection.execute(text(ONE_PASS)).scalar_one()


async def _timed(work: Awaitable[None]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began
