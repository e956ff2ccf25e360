"""Two collectors on one PostgreSQL, in one event loop: one of them does the jobs, both tell the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Connection, select, update

from collector.http.appkeys import DEPLOYMENT, LEADERSHIP, SCHEDULE, SNAPSHOTS, STORE
from collector.persist.engine import ping
from collector.persist.tables import leases, snapshots
from tests.inside import Inside, running, running_beside
from tests.postgres import PostgresServer
from tests.serve.state import checks
from tests.test_journey import REPORT

pytestmark = pytest.mark.slow

OPTIONS = {"CODER_AGENT_STATS_REFRESH_INTERVAL": "500ms", "COLLECTOR_LEASE_TTL": "10s"}
QUICK = {"CODER_AGENT_STATS_REFRESH_INTERVAL": "1s", "COLLECTOR_LEASE_TTL": "1500ms"}
LEADERS = {"snapshot", "retention", "noise"}


class Two(NamedTuple):
    """Both, the one that was there first and leads in front."""

    leader: Inside
    follower: Inside
    leave: AsyncExitStack  # closing it stops the leader


@asynccontextmanager
async def pair(url: str, directory: Path, options: dict[str, str]) -> AsyncIterator[Two]:
    """Two collectors that have both shown a snapshot."""
    async with AsyncExitStack() as leave:
        leader = await leave.enter_async_context(running(url, directory / "a", **options))
        await shown(leader)
        async with running_beside(leader, url, directory / "b", **options) as follower:
            await shown(follower)
            yield Two(leader, follower, leave)


@pytest.fixture
def url(postgres: PostgresServer, migrated_template: str) -> str:
    """A migrated PostgreSQL."""
    return postgres.fresh_url(copy_of=migrated_template)


@pytest.fixture
async def two(url: str, tmp_path: Path) -> AsyncIterator[Two]:
    """Two collectors with a long lease."""
    async with pair(url, tmp_path, OPTIONS) as both:
        yield both


async def shown(collector: Inside, after: int = -1) -> int:
    """When the snapshot was built that the collector shows, once it is of after ``after`` (ms)."""
    async with asyncio.timeout(60):
        while (current := collector.app[SNAPSHOTS].current) is None or current.collected_at <= after:
            await collector.app[STORE].read(ping)  # the event loop turns meanwhile
    return current.collected_at


async def built(collector: Inside) -> list[int]:
    """When snapshots were built, in ms."""
    own = collector.app[DEPLOYMENT]
    mine = select(snapshots.c.collected_at).where(snapshots.c.deployment == own).order_by(snapshots.c.collected_at)
    return await collector.app[STORE].read(lambda connection: list(connection.scalars(mine)))


def run_out(connection: Connection) -> None:
    """Let the lease be over, as its time would."""
    connection.execute(update(leases).values(expires_at=1))


async def test_no_turn_has_two_snapshots(url: str, tmp_path: Path) -> None:
    """However many collectors there are, through a change of leader; and both show the same within one interval."""
    async with pair(url, tmp_path, QUICK) as two:
        at = await shown(two.follower)
        for _ in range(3):
            at = await shown(two.follower, at)
            assert abs(await shown(two.leader) - at) <= 1_000
        await two.leave.aclose()
        for _ in range(3):
            at = await shown(two.follower, at)
        turns = [at // 1_000 for at in await built(two.follower)]

    assert len(turns) == len(set(turns)) >= 7


async def test_the_jobs_are_shared_out(two: Two) -> None:
    """The leader's run at one of them, everybody's at both."""
    facts = [one.app[SCHEDULE].facts for one in two[:2]]
    async with asyncio.timeout(60):
        while not all(facts[0][name].runs for name in facts[0]):
            await two.leader.app[STORE].read(ping)
        while not all(facts[1][name].runs for name in facts[1].keys() - LEADERS):
            await two.leader.app[STORE].read(ping)
    assert {name for name in facts[1] if not facts[1][name].runs} == LEADERS


async def test_health_and_metrics_say_who_leads(two: Two) -> None:
    """Both name the same one, and the same epoch."""
    names = [one.app[LEADERSHIP].holder for one in two[:2]]
    (_, ours), (_, theirs) = await checks(two.leader), await checks(two.follower)
    assert ours["leader"] == (True, f"this replica, {names[0]}, leads in epoch 1")
    assert theirs["leader"] == (True, f"{names[0]} leads in epoch 1, this replica is {names[1]}")

    metrics = [await one.metrics() for one in two[:2]]
    assert [found["collector_leader"] for found in metrics] == [1, 0]
    assert [found["collector_leader_epoch"] for found in metrics] == [1, 1]
    assert all(found["collector_lease_renewed_timestamp_seconds"] > 1_700_000_000 for found in metrics)
    assert 'collector_job_age_seconds{job="retention"}' not in metrics[1]


async def test_both_tell_the_same_of_the_deployments(two: Two) -> None:
    """While reports come in: of one snapshot both scrapes have the same samples, counters and all, whoever is asked."""
    name = "collector_snapshot_timestamp_seconds"
    same: set[float] = set()
    async with asyncio.timeout(30):
        while len(same) < 3:
            assert (await two.leader.post(two.leader.csp_path, json.dumps(REPORT)))[0] == 200
            ours, theirs = [await deployments(one) for one in two[:2]]
            if ours[name] == theirs[name]:
                assert ours == theirs
                same.add(sum(count for series, count in ours.items() if series.startswith("collector_csp_reports_total")))


async def deployments(collector: Inside) -> dict[str, float]:
    """The samples of the deployments' half, but how old they are."""
    async with collector.client.get(f"{collector.prometheus_url}/deployment") as response:
        lines = (await response.text()).splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in samples if series != "collector_metrics_age_seconds"}


async def test_a_stop_hands_over(two: Two) -> None:
    """The follower leads before the lease could have run out, and makes snapshots."""
    await two.leave.aclose()
    async with asyncio.timeout(5):  # half a lease
        while two.follower.app[LEADERSHIP].epoch != 2:
            await two.follower.app[STORE].read(ping)
    await shown(two.follower, await shown(two.follower))


async def test_a_leader_whose_lease_ran_out_makes_no_more_snapshots(two: Two) -> None:
    """It finds out by its next write, and from then on shows what the new one builds."""
    former, new = two.leader.app[LEADERSHIP], two.follower.app[LEADERSHIP]
    await two.follower.app[STORE].transact(run_out)
    await new.look()
    assert (new.leads, former.leads) == (True, True)
    at = await shown(two.follower)
    for _ in range(3):
        at = await shown(two.leader, at)
    assert (new.leads, former.leads) == (True, False)
    turns = [at // 500 for at in await built(two.follower)]
    assert len(turns) == len(set(turns))
