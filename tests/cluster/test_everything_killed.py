"""Three collectors behind a balancer, three servers of NATS and PostgreSQL, of which one after the other is killed under load.

Whatever dies, each agent report that was acknowledged is stored once and none twice, and as many CSP reports are counted as
were acknowledged at least and sent at most.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.cluster.world import World, everything, loaded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PHASE_S = 12  # of load from one blow to the next: five phases are a minute
SECOND = 10_000_000  # the first number of the second load


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """It, with every server up."""
    with everything(tmp_path_factory.mktemp("world"), servers=3) as world:
        yield world


async def test_whatever_is_killed_each_report_is_stored_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A leader of NATS, a collector and the leader of the jobs are killed and come back, and PostgreSQL is restarted."""
    async with loaded(world.services, first=1) as tally:
        await asyncio.sleep(PHASE_S)  # of load
        leader = await world.nats_leader()
        leader.end(signal.SIGKILL)
        await asyncio.sleep(PHASE_S)  # of load
        leader.start()
        for asked in (world.job_follower, world.job_leader):
            victim = await asked()
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
