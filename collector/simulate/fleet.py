"""The fleet at work: workspaces that change and agents that report, until the time is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from collector.simulate.agentstats import Agent
from collector.simulate.feed import BULK, Feed
from collector.simulate.ledger import Ledger
from collector.simulate.plan import Plan
from collector.simulate.workspaces import Phase, Workspace

TICK = 1.0  # seconds between two looks at the workspaces

Clock = Callable[[], int]  # milliseconds since the epoch


def fleet(plan: Plan, now_ms: int) -> list[Agent]:
    """The plan's workspaces, each with its agent: the same ones for the same seed."""
    agents = []
    for number in range(plan.workspaces):
        rng = random.Random(f"{plan.seed}/workspace/{number}")  # noqa: S311 - play, no secret
        agents.append(Agent(Workspace(number, rng, now_ms), rng))
    return agents


async def report_workspaces(feed: Feed, workspaces: Sequence[Workspace], ledger: Ledger, clock: Clock, until: float) -> None:
    """Post every workspace once, then each that changed. Arrays go one after the other: the later one is always newer."""
    changed, now = list(workspaces), asyncio.get_running_loop().time
    while True:
        for start in range(0, len(changed), BULK):
            rows = [(workspace.row(), workspace.bucket) for workspace in changed[start : start + BULK]]
            rejected = await feed.rejected("workspaces", [row for row, _ in rows])
            if rejected is not None:
                ledger.workspaces_accepted(rows, rejected)
        if now() + TICK >= until:
            return
        await asyncio.sleep(TICK)
        changed = [workspace for workspace in workspaces if workspace.advance(clock())]


async def report_agents(
    feed: Feed, agents: Sequence[Agent], ledger: Ledger, plan: Plan, clock: Clock, due: float, until: float
) -> None:
    """Post the reports of up to 100 agents every interval from ``due`` on; an agent speaks while its workspace runs."""
    now, period, run = asyncio.get_running_loop().time, plan.interval.total_seconds(), f"{clock():x}"
    while due < until:
        await asyncio.sleep(due - now())
        rows = [agent.report(clock(), period, run) for agent in agents if agent.workspace.phase is Phase.RUNNING]
        rejected = await feed.rejected("agent-stats", rows) if rows else None
        if rejected is not None:
            ledger.agents_accepted(rows, rejected, clock())
        due = max(due + period, now())  # after a stall nothing is caught up: the next report tells the next period
