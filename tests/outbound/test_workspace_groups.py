"""Counting the workspaces of a Coder server, against a stand-in on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp.test_utils import TestServer

from collector.outbound.workspace_groups import AGAIN_AFTER_REFUSAL_MS, PAGE, WorkspaceCounter
from collector.persist.engine import Store
from collector.rollup.workspace_groups import current_groups, current_groups_in_all, group_history
from collector.wire.config import Upstream
from collector.wire.workspace_groups import GroupHistory
from tests.outbound.coder import DEPLOYMENT, TOKEN, Clock, Coder, workspace

NOW = 1_768_384_800_000  # 2026-01-14T10:00:00Z
HOUR_MS = 3_600_000


class Counted(NamedTuple):
    """A server, who counts its workspaces, and where the counts go."""

    coder: Coder
    counter: WorkspaceCounter
    store: Store
    clock: Clock

    async def run(self, *, at: int) -> None:
        """Count at ``at``."""
        self.clock.now = at
        await self.counter.run()

    async def totals(self) -> dict[tuple[str, str, bool], int]:
        """How many workspaces each group has now."""
        groups = await self.store.read(lambda connection: current_groups(connection, now=self.clock.now))
        assert {deployment for deployment, _ in groups} <= {DEPLOYMENT}
        return {(group.key.organization, group.key.template, group.key.prebuilt): group.total for _, group in groups}

    async def history(self, *, hours: int) -> GroupHistory:
        """The groups of the hours since ``NOW``."""
        span = {"since": NOW, "until": NOW + hours * HOUR_MS}
        return await self.store.read(lambda connection: group_history(connection, DEPLOYMENT, **span))


@pytest.fixture
async def counted(store: Store, tmp_path: Path) -> AsyncIterator[Counted]:
    """A server that is up, and a counter that has not asked yet."""
    clock = Clock(NOW)
    coder = Coder(clock, began=NOW - HOUR_MS)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    async with TestServer(coder.routes()) as server:
        upstream = Upstream(url=str(server.make_url("/")), token_file=str(token))
        yield Counted(coder, WorkspaceCounter(upstream, store.transact, now=clock, fetch_within=5), store, clock)


async def test_the_largest_groups_are_told(counted: Counted) -> None:
    """Of more than are told the largest are, and how many there are in all is known."""
    counted.coder.workspaces = [workspace(number, template_name=f"t{number // 2}") for number in range(5)]
    await counted.run(at=NOW)

    told, in_all = await counted.store.read(
        lambda connection: (current_groups(connection, now=NOW, most=2), current_groups_in_all(connection, now=NOW))
    )
    assert [(group.key.template, group.total) for _, group in told] == [("t0", 2), ("t1", 2)]
    assert in_all == 3


async def test_groups_of_many_pages(counted: Counted) -> None:
    """Workspaces count by organization, template and whether they are claimed, however many pages they fill."""
    counted.coder.workspaces = [
        *(workspace(number) for number in range(PAGE + 30)),
        *(workspace(1_000 + number, "stopped", template_name="kubernetes") for number in range(PAGE)),
        *(workspace(2_000 + number, is_prebuild=True) for number in range(7)),
        workspace(3_000, "failed", organization_name="research"),
    ]
    await counted.run(at=NOW)

    assert await counted.totals() == {
        ("coder", "docker", False): PAGE + 30,
        ("coder", "kubernetes", False): PAGE,
        ("coder", "docker", True): 7,
        ("research", "docker", False): 1,
    }


async def test_an_hour_keeps_its_peak(counted: Counted) -> None:
    """Of each hour the last count is kept and the most that were counted; a group that is gone is not told as current."""
    counted.coder.workspaces = [workspace(number) for number in range(9)] + [workspace(50, template_name="old")]
    await counted.run(at=NOW + 60_000)
    counted.coder.workspaces = [workspace(number) for number in range(4)]
    await counted.run(at=NOW + 360_000)
    await counted.run(at=NOW + HOUR_MS + 60_000)

    assert await counted.totals() == {("coder", "docker", False): 4}
    points = (await counted.history(hours=2)).points
    assert [(point.template, point.at.hour, point.running, point.running_max) for point in points] == [
        ("docker", 10, 4, 9),
        ("old", 10, 1, 1),
        ("docker", 11, 4, 4),
    ]


async def test_what_is_not_counted_any_more_is_not_current(counted: Counted) -> None:
    """Counts of more than an hour ago are history."""
    counted.coder.workspaces = [workspace(1)]
    await counted.run(at=NOW)
    counted.clock.now += HOUR_MS + 1

    assert await counted.totals() == {}
    assert len((await counted.history(hours=1)).points) == 1


async def test_a_token_that_does_not_see_all_counts_nothing(counted: Counted) -> None:
    """A list that is shorter than the server's own numbers is a user's, not the deployment's; later it is asked for again."""
    counted.coder.workspaces, counted.coder.unseen = [workspace(1)], 50
    await counted.run(at=NOW)
    asked = counted.coder.asked
    await counted.run(at=NOW + 300_000)
    assert counted.coder.asked == asked
    assert (await counted.history(hours=1)).points == []

    counted.coder.unseen = 0
    await counted.run(at=NOW + AGAIN_AFTER_REFUSAL_MS)
    assert await counted.totals() == {("coder", "docker", False): 1}


async def test_a_server_that_is_gone_is_nobodys_error(counted: Counted) -> None:
    """The job does not fail, nothing is stored, and the next run counts again."""
    counted.coder.workspaces = [workspace(1)]
    counted.coder.stop()
    await counted.run(at=NOW)
    assert await counted.totals() == {}

    counted.coder.start()
    await counted.run(at=NOW + 300_000)
    assert set(await counted.totals()) == {("coder", "docker", False)}
