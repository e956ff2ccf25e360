"""What ``collector demo`` adds to the service: a day of history, and a fleet that goes on reporting."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from collector.config.settings import Settings
from collector.http.appkeys import DEPLOYMENT, NOW, STORE
from collector.persist.keys import create_key, revoke_key
from collector.persist.meta import DEFAULT_PROJECT
from collector.persist.projects import project_by_name
from collector.rollup.agentstats import AgentUse
from collector.rollup.snapshot import WINDOW_MS, Snapshot, store
from collector.rollup.workspaces import WorkspaceCounts
from collector.simulate.day import day
from collector.simulate.plan import FleetState, Plan
from collector.simulate.run import run
from collector.wire.deployment import SessionCounts, Source
from collector.wire.errors import InvalidOption
from collector.wire.identity import KeyKind

WORKSPACES, BROWSERS = 60, 8
STEP_MS = 60_000
SEED = 1  # of the past day and of the fleet, which is the same one every hour and after every start
DIRECTORY = "demo"  # within the data directory

log = structlog.get_logger(__name__)


def apart(settings: Settings) -> Settings:
    """``settings`` with a data directory of the demo's own: what it invents never comes among what was collected.

    Raises:
        InvalidOption: when they name a PostgreSQL database.
    """
    if settings.pg_connection_url:
        raise InvalidOption("CODER_PG_CONNECTION_URL: the demo would mix invented data into this database; unset it.")
    own = replace(settings, data_dir=settings.data_dir / DIRECTORY)
    log.info("the demo keeps its invented data in a directory of its own", path=str(own.data_dir))
    return own


def watched(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """``work`` as a task. If it dies that is logged at once, not when the service ends."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log_death)
    return task


def _log_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the simulated fleet has stopped", exc_info=task.exception())


async def past_day(app: web.Application) -> None:
    """Store what the last 24 hours would have left behind. A moment that has a snapshot keeps it."""
    database, deployment = app[STORE], app[DEPLOYMENT]
    moments = [
        _snapshot(deployment, at, state) for at, state in day(app[NOW](), workspaces=WORKSPACES, seed=SEED, step_ms=STEP_MS)
    ]

    def keep(connection: object) -> None:
        for moment in moments:
            store(connection, moment)  # type: ignore[arg-type]

    await database.transact(keep)


async def present(app: web.Application, url: str) -> None:
    """Play the fleet until the service stops, with keys of its own that end with it."""
    database, now = app[STORE], app[NOW]
    project = await database.read(partial(project_by_name, name=DEFAULT_PROJECT))
    kinds = (KeyKind.BROWSER, KeyKind.FEED)
    make = partial(create_key, project_id=project.id, deployment=app[DEPLOYMENT], now=now())
    browser_key, feed_key = [await database.transact(partial(make, kind=kind)) for kind in kinds]
    try:
        while True:
            plan = Plan(
                url=url,
                browser_key=browser_key,
                feed_key=feed_key,
                workspaces=WORKSPACES,
                browsers=BROWSERS,
                duration=timedelta(hours=1),
                seed=SEED,
            )
            await run(plan)
    finally:
        for key in (browser_key, feed_key):
            await database.transact(partial(revoke_key, key_id=key[:10], now=now()))


def _snapshot(deployment: str, at: int, state: FleetState) -> Snapshot:
    buckets, sessions = state.workspaces, state.sessions
    return Snapshot(
        deployment=deployment,
        source=Source.REPORTS,
        aggregated_from=at - WINDOW_MS,
        collected_at=at,
        next_update_at=at + STEP_MS,
        workspaces=WorkspaceCounts(
            pending=buckets.pending,
            building=buckets.building,
            running=buckets.running,
            failed=buckets.failed,
            stopped=buckets.stopped,
        ),
        agents=AgentUse(
            rx_bytes=state.rx_bytes,
            tx_bytes=state.tx_bytes,
            latency_p50_ms=state.latency_p50_ms,
            latency_p95_ms=state.latency_p95_ms,
            sessions=SessionCounts(
                vscode=sessions.vscode,
                ssh=sessions.ssh,
                jetbrains=sessions.jetbrains,
                reconnecting_pty=sessions.reconnecting_pty,
            ),
        ),
    )
