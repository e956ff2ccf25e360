"""Several collectors behind a balancer on one PostgreSQL, with servers of NATS before it or without, and their load."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import func, select

from collector.persist.engine import open_store
from collector.persist.tables import agent_stats, csp_totals
from tests.cluster.balancer import balancing
from tests.cluster.load import Load, Tally
from tests.nats import NatsServer, start_nats
from tests.postgres import PostgresServer, start_postgres
from tests.service import ROOT, SECRETS, Service, run_service

BROWSERS, AGENTS, COLLECTORS = 16, 8, 3
STREAM = "collector"
OPTIONS = {"COLLECTOR_LEASE_TTL": "3s", "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true"}


class Stored(NamedTuple):
    """What is in the database."""

    agents: Counter[int]  # how often each agent report, by the bytes that are its own
    reports: int  # CSP reports that are counted


class World:
    """All that runs, and what was sent to it."""

    def __init__(self, postgres: PostgresServer, url: str, nats: Sequence[NatsServer], services: Sequence[Service]) -> None:
        self.postgres, self.database_url, self.nats, self.services = postgres, url, nats, services

    async def nats_leader(self) -> NatsServer:
        """The server that leads the stream."""
        info = await self._asked(lambda context: context.stream_info(STREAM))
        return next(server for server in self.nats if server.name == info.cluster.leader)

    async def until_drained(self) -> None:
        """Return once every message of the stream is applied and acknowledged."""

        async def is_drained() -> bool:
            info = await self._asked(lambda context: context.consumer_info(STREAM, STREAM))
            return not info.num_pending and not info.num_ack_pending

        async with asyncio.timeout(120):
            while self.nats and not await is_drained():  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # they are other processes: how far they are can only be asked

    async def _asked(self, ask: Any) -> Any:
        async with asyncio.timeout(60):
            while True:
                client = Client()
                try:
                    await client.connect([server.url for server in self.nats], allow_reconnect=False, error_cb=_pass_over)
                    return await ask(client.jetstream(timeout=2))
                except (NatsError, OSError, TimeoutError):
                    await asyncio.sleep(0.2)  # they are other processes: whether they answer can only be asked
                finally:
                    await client.close()

    async def job_leader(self) -> Service:
        """The collector that does the jobs."""
        async with asyncio.timeout(60):
            while True:
                for service in self.services:
                    if await asyncio.to_thread(service.sample, "collector_leader") == 1:
                        return service
                await asyncio.sleep(0.1)  # they are other processes: who leads can only be asked

    async def job_follower(self) -> Service:
        """A collector that does not."""
        leader = await self.job_leader()
        return next(service for service in self.services if service is not leader)

    async def stored(self) -> Stored:
        """What the database holds now."""
        store = open_store(self.database_url)
        try:
            rows = await store.read(lambda connection: list(connection.scalars(select(agent_stats.c.rx_bytes))))
            reports = await store.read(lambda connection: connection.scalar(select(func.sum(csp_totals.c.count))))
        finally:
            await store.close()
        return Stored(Counter(rows), int(reports or 0))


async def _pass_over(_error: Exception) -> None:
    """What goes wrong is asked for again."""


@contextmanager
def collectors(directory: Path, root: Path, **options: str) -> Iterator[list[Service]]:
    """Several of the code at ``root`` on one database, each as a process; the first one's secrets are those of all."""
    with ExitStack() as stack:
        services: list[Service] = []
        for number in range(COLLECTORS):
            home = directory / f"collector{number}"
            if services:
                (home / "data").mkdir(parents=True)
                shutil.copy(services[0].data / SECRETS, home / "data" / SECRETS)
            services.append(stack.enter_context(run_service(home, root, **options)))
        yield services


@contextmanager
def everything(directory: Path, *, servers: int, root: Path = ROOT, **more: str) -> Iterator[World]:
    """PostgreSQL, so many servers of NATS, and collectors of the code at ``root`` with ``more`` options."""
    (directory / "postgres").mkdir()
    stream: AbstractContextManager[list[NatsServer]] = nullcontext([])
    if servers:
        stream = start_nats(directory / "nats", servers=servers)
    with stream as nats, start_postgres(directory / "postgres") as postgres:
        options = {**OPTIONS, **more, "CODER_PG_CONNECTION_URL": postgres.fresh_url()}
        if nats:
            options |= {"COLLECTOR_NATS_URL": ",".join(server.url for server in nats), "COLLECTOR_NATS_REPLICAS": str(servers)}
        with collectors(directory, root, **options) as services:
            yield World(postgres, options["CODER_PG_CONNECTION_URL"], nats, services)


@asynccontextmanager
async def loaded(services: Sequence[Service], *, first: int) -> AsyncIterator[Tally]:
    """Load on a balancer before ``services`` as long as the block lasts; afterwards everybody has his answer."""
    async with balancing([service.url for service in services]) as url:
        load = Load(url, services[0].browser_key, services[0].feed_key, first=first)
        load.start(browsers=BROWSERS, agents=AGENTS)
        try:
            yield load.tally
        finally:
            await load.end()
