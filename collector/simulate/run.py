"""One simulation from start to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from collector.simulate.aibridge import User, ask
from collector.simulate.csp import visit
from collector.simulate.feed import BULK, Feed
from collector.simulate.fleet import Clock, fleet, report_agents, report_workspaces
from collector.simulate.ledger import Ledger
from collector.simulate.plan import Plan, Summary
from collector.wire.clock import wall_clock

ANSWER_WITHIN = aiohttp.ClientTimeout(total=30)
SHOW_EVERY = 0.5  # seconds

Show = Callable[[Ledger, float], None]  # the account so far, and the share of the time that has passed


async def run(plan: Plan, *, show: Show | None = None, clock: Clock = wall_clock) -> Summary:
    """Play the plan against ``plan.url`` and return what was acknowledged.

    Ends by itself after ``plan.duration`` and the time that the last answers take: at most ``plan.patience`` or one
    request's 30 s more. Refusals are counted, not raised.
    """
    ledger, started_at, now = Ledger(), clock(), asyncio.get_running_loop().time
    begin, seconds = now(), plan.duration.total_seconds()
    until = begin + seconds
    connector = aiohttp.TCPConnector(limit=0)  # as many connections as there are visitors
    async with aiohttp.ClientSession(connector=connector, timeout=ANSWER_WITHIN) as session:
        feed = Feed(session, plan, ledger, until + plan.patience.total_seconds())
        agents = fleet(plan, started_at)
        gateways = [agents[start : start + BULK] for start in range(0, len(agents), BULK)]
        # Spread over one interval, or over a shorter simulation, so that every agent reports at least once.
        apart = min(plan.interval.total_seconds(), seconds) / max(len(gateways), 1)
        progress = asyncio.create_task(_show(show, ledger, begin, seconds)) if show and seconds else None
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(plan.browsers):
                    tasks.create_task(visit(session, plan, number, ledger, until))
                for number in range(plan.ai_users):
                    tasks.create_task(ask(feed, User(plan.seed, number), clock, until))
                if agents:
                    workspaces = [agent.workspace for agent in agents]
                    tasks.create_task(report_workspaces(feed, workspaces, ledger, clock, until))
                for index, gateway in enumerate(gateways):
                    due = begin + index * apart
                    tasks.create_task(report_agents(feed, gateway, ledger, plan, clock, due, until))
        finally:
            if progress:
                progress.cancel()
    if show:
        show(ledger, 1.0)
    return ledger.summary(plan, started_at=started_at, finished_at=clock())


async def _show(show: Show, ledger: Ledger, begin: float, seconds: float) -> None:
    show(ledger, 0.0)
    while True:
        await asyncio.sleep(SHOW_EVERY)
        passed = asyncio.get_running_loop().time() - begin
        show(ledger, min(1.0, passed / seconds))
