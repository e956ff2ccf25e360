"""Three collectors behind a balancer, three servers of NATS and PostgreSQL, of which one after the other is killed under load.

Whatever dies, each agent report that was acknowledged is stored once and none twice, and as many CSP reports are counted as
were acknowledged at least and sent at most.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import func, select

from collector.persist.engine import open_store
from collector.persist.tables import agent_stats, csp_totals
from tests.cluster.balancer import balancing
from tests.cluster.load import Load, Tally
from tests.nats import NatsServer, start_nats
from tests.postgres import PostgresServer, start_postgres
from tests.service import SECRETS, Service, run_service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PHASE_S = 12  # of load from one blow to the next: five phases are a minute
BROWSERS, AGENTS, COLLECTORS = 16, 8, 3
SECOND = 10_000_000  # the first number of the second load
STREAM = "collector"
OPTIONS = {"COLLECTOR_LEASE_TTL": "3s", "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true", "COLLECTOR_NATS_REPLICAS": "3"}


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
            while not await is_drained():  # noqa: ASYNC110
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

    async def stored(self) -> tuple[Counter[int], int]:
        """How often each agent report is stored, by the bytes that are its own, and how many CSP reports are counted."""
        store = open_store(self.database_url)
        try:
            rows = await store.read(lambda connection: list(connection.scalars(select(agent_stats.c.rx_bytes))))
            reports = await store.read(lambda connection: connection.scalar(select(func.sum(csp_totals.c.count))))
        finally:
            await store.close()
        return Counter(rows), int(reports or 0)


async def _pass_over(_error: Exception) -> None:
    """What goes wrong is asked for again."""


@contextmanager
def collectors(directory: Path, **options: str) -> Iterator[list[Service]]:
    """Several on one database, each as a process; the first one's secrets are those of all."""
    with ExitStack() as stack:
        services: list[Service] = []
        for number in range(COLLECTORS):
            home = directory / f"collector{number}"
            if services:
                (home / "data").mkdir(parents=True)
                shutil.copy(services[0].data / SECRETS, home / "data" / SECRETS)
            services.append(stack.enter_context(run_service(home, **options)))
        yield services


@asynccontextmanager
async def loaded(services: Sequence[Service], *, first: int) -> AsyncIterator[Tally]:
    """Load on a balancer before ``services`` as long as the block lasts; afterwards everybody has his answer."""
    async with balancing([service.url for service in services]) as url:
        load = Load(url, services[0].browser_key, services[0].feed_key, first=first)
        load.start(browsers=BROWSERS, agents=AGENTS)
        yield load.tally
        await load.end()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """It, with every server up."""
    directory = tmp_path_factory.mktemp("world")
    with start_nats(directory / "nats", servers=3) as nats, start_postgres(_made(directory / "postgres")) as postgres:
        url = postgres.fresh_url()
        options = {"CODER_PG_CONNECTION_URL": url, "COLLECTOR_NATS_URL": ",".join(server.url for server in nats)}
        with collectors(directory, **OPTIONS, **options) as services:
            yield World(postgres, url, nats, services)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


async def test_whatever_is_killed_each_report_is_stored_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A leader of NATS, a collector and the leader of the jobs are killed and come back, and PostgreSQL is restarted."""
    async with loaded(world.services, first=1) as tally:
        await asyncio.sleep(PHASE_S)  # of load
        leader = await world.nats_leader()
        leader.end(signal.SIGKILL)
        await asyncio.sleep(PHASE_S)  # of load
        leader.start()
        for victim in (world.services[0], await world.job_leader()):
            victim.kill()
            await asyncio.sleep(PHASE_S)  # of load
            await asyncio.to_thread(victim.start)
        await asyncio.to_thread(world.postgres.stop)
        await asyncio.to_thread(world.postgres.start)
        await asyncio.sleep(PHASE_S)  # of load
    await world.until_drained()
    agents, reports = await world.stored()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{tally.csp_sent} CSP reports sent, {tally.csp_acknowledged} acknowledged, {reports} counted;"
            f" {len(tally.agents_acknowledged)} agent reports acknowledged, {sum(agents.values())} stored;\n{tally.summary}\n"
        )
    assert {number: agents[number] for number in tally.agents_acknowledged if agents[number] != 1} == {}
    assert max(agents.values()) == 1
    assert tally.csp_acknowledged <= reports <= tally.csp_sent


async def test_without_postgresql_nobody_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """While it is stopped for half a minute every report is acknowledged; then all of them are stored, each once."""
    _, before = await world.stored()
    async with loaded(world.services, first=SECOND) as tally:
        await asyncio.sleep(3)  # of load
        await asyncio.to_thread(world.postgres.stop)
        await asyncio.sleep(30)  # without it
        await asyncio.to_thread(world.postgres.start)
        await asyncio.sleep(3)  # of load
    await world.until_drained()
    agents, reports = await world.stored()
    with capsys.disabled():
        sys.stdout.write(f"\n{tally.summary}\n")
    assert tally.refused == 0
    assert reports - before == tally.csp_sent == tally.csp_acknowledged
    stored = {number: count for number, count in agents.items() if number >= SECOND}
    assert stored == dict.fromkeys(tally.agents_acknowledged, 1)
