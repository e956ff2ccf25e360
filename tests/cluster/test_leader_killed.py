"""Two collectors as processes on one PostgreSQL, whose leader is killed or paused again and again.

Ten minutes of a deployment with the usual interval of 30 s and the usual lease of 15 s, at a tenth of the scale: 20 turns of
3 s with a lease of 1.5 s. The clocks are real, so nothing is left out but waiting.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from urllib.error import URLError

import pytest
from sqlalchemy import select

from collector.persist.engine import Store, open_store
from collector.persist.lease import lease
from collector.persist.tables import snapshots
from tests.postgres import PostgresServer
from tests.service import SECRETS, Service, run_service

TURNS, TURN = 20, timedelta(seconds=3)
OPTIONS = {
    "CODER_AGENT_STATS_REFRESH_INTERVAL": "3s",
    "COLLECTOR_LEASE_TTL": "1500ms",
    "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true",  # they are asked many times a second
}
BETWEEN = 2  # turns from one blow to the next
BLOWS = ("kill", "pause", "kill", "pause")


class Cluster:
    """Both services, those that are to be asked, and the database behind them."""

    def __init__(self, services: Sequence[Service], store: Store) -> None:
        self.services = services
        self.answering = set(range(len(services)))
        self.store = store
        self.apart: list[timedelta] = []  # how far the answers of both were from each other
        self.ended = False

    async def turns(self) -> list[int]:
        """The turn of each snapshot, in the order of time."""
        every = select(snapshots.c.collected_at).order_by(snapshots.c.collected_at)
        found = await self.store.read(lambda connection: list(connection.scalars(every)))
        return [at // (TURN // timedelta(milliseconds=1)) for at in found]

    async def more_turns(self, count: int) -> None:
        """Return as soon as there are snapshots of that many further turns."""
        last = (await self.turns())[-1]
        async with asyncio.timeout(10 * count * TURN.total_seconds()):
            while (await self.turns())[-1] < last + count:
                await moment()

    async def leader(self) -> int:
        """Which one says that it leads."""
        async with asyncio.timeout(10 * TURN.total_seconds()):
            while True:
                for number in self.answering:
                    if await asyncio.to_thread(self.services[number].sample, "collector_leader") == 1:
                        return number
                await moment()

    async def epoch(self) -> int:
        """How often the leader has changed."""
        found = await self.store.read(lambda connection: lease(connection, "jobs"))
        assert found is not None
        return found.epoch

    async def watch(self) -> None:
        """Ask both, again and again, and note how far apart they are."""
        while not self.ended:
            asked = set(self.answering)
            if len(asked) < len(self.services):
                await asyncio.to_thread(self.services[min(asked)].get, "/api/v2/buildinfo")
                continue
            try:
                shown = await asyncio.gather(*(asyncio.to_thread(collected_at, self.services[number]) for number in asked))
            except (URLError, OSError):
                assert self.answering != asked, "a collector that nobody touched did not answer"
                continue
            if self.answering == asked:
                self.apart.append(max(shown) - min(shown))
            await moment()

    async def strike(self, blow: str) -> None:
        """Let the leader be gone for two turns, one way or the other, and come back."""
        number = await self.leader()
        service = self.services[number]
        self.answering.discard(number)
        if blow == "kill":
            service.kill()
            await self.more_turns(2)
            await asyncio.to_thread(service.start)
        else:
            service.process.send_signal(signal.SIGSTOP)
            await self.more_turns(2)
            service.process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(TURN.total_seconds()):  # within a turn it shows what the others show
                other = self.services[min(self.answering)]
                while await asyncio.to_thread(collected_at, other) > await asyncio.to_thread(collected_at, service):
                    await moment()
        self.answering.add(number)


async def moment() -> None:
    """The pause between two questions."""
    await asyncio.sleep(0.05)  # they are other processes: how far they are can only be asked


def collected_at(service: Service) -> datetime:
    """When the snapshot was built that the service answers with."""
    return datetime.fromisoformat(service.get("/api/v2/deployment/stats")["collected_at"])


@pytest.fixture
def services(postgres: PostgresServer, tmp_path: Path) -> Iterator[tuple[list[Service], str]]:
    """Two collectors on one database, and its URL."""
    url = postgres.fresh_url()
    with ExitStack() as both:
        first = both.enter_context(run_service(tmp_path / "a", CODER_PG_CONNECTION_URL=url, **OPTIONS))
        (tmp_path / "b/data").mkdir(parents=True)
        shutil.copy2(first.data / SECRETS, tmp_path / "b/data" / SECRETS)
        second = both.enter_context(run_service(tmp_path / "b", CODER_PG_CONNECTION_URL=url, **OPTIONS))
        yield [first, second], url


@pytest.mark.slow
async def test_one_snapshot_a_turn_whoever_dies(services: tuple[list[Service], str]) -> None:
    """Each turn has exactly one, through leaders killed and paused; and both answer within one interval of each other."""
    store = open_store(services[1])
    cluster = Cluster(services[0], store)
    begun = (await cluster.turns())[-1]
    watching = asyncio.create_task(cluster.watch())
    for blow in BLOWS:
        await cluster.more_turns(BETWEEN)
        await cluster.strike(blow)
    await cluster.more_turns(max(1, begun + TURNS - (await cluster.turns())[-1]))
    cluster.ended = True
    await watching
    turns, epoch = await cluster.turns(), await cluster.epoch()
    await store.close()

    assert turns == list(range(turns[0], turns[-1] + 1))
    assert turns[-1] - begun >= TURNS
    assert epoch >= 1 + len(BLOWS)
    assert len(cluster.apart) > TURNS
    assert max(cluster.apart) <= TURN + timedelta(seconds=0.5)  # a snapshot is built some moments after its turn began
