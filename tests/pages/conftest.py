"""The pages behind a real server, over a real database whose content each test writes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from playwright.async_api import Browser, async_playwright
from pytest_aiohttp import AiohttpClient

from collector.http.appkeys import (
    CAP,
    CREDENTIALS,
    DEPLOYMENT,
    LEADERSHIP,
    NOISE,
    NOW,
    SCHEDULE,
    SINK,
    SNAPSHOTS,
    STORE,
    WRITER,
)
from collector.http.auth import TOKEN_NAME, Credentials
from collector.normalize.filters import NoiseFilter
from collector.pages import session, static
from collector.pages.page import PAGES, Pages
from collector.persist.accounts import create_token, create_user
from collector.persist.engine import Store
from collector.persist.keys import create_key
from collector.persist.leadership import Leadership
from collector.persist.projects import ensure_project
from collector.persist.tables import violations
from collector.persist.writer import Writer
from collector.rollup import snapshot as snapshots
from collector.rollup.agentstats import AgentUse
from collector.rollup.schedule import Job, Schedule
from collector.rollup.snapshot import Snapshot, Snapshots
from collector.rollup.store_cap import StoreCap
from collector.rollup.workspaces import WorkspaceCounts
from collector.routes import ROUTES
from collector.serve.aibridge import PRICES, Prices
from collector.serve.deployment import get_stats_history
from collector.serve.latency import LATENCY, Latency
from collector.wire.deployment import SessionCounts, Source
from collector.wire.identity import KeyKind, Role
from tests.requirements import program

MOMENT = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DEPLOYED = "9d2b1f0e-4c55-4d0a-9a43-0c3c2b1f7a11"

PATHS = (
    "/",
    "/csp",
    "/csp/violations/{id}",
    "/csp/ignore-rules",
    "/csp/ignore-rules/{id}",
    "/csp/policy",
    "/csp/noise",
    "/aibridge",
    "/setup",
)

Client = TestClient[web.Request, web.Application]


def snapshot_at(at: int, *, running: int = 37, sessions: int = 9, latency: float = 14.25) -> Snapshot:
    """A snapshot of a busy deployment at ``at``."""
    return Snapshot(
        deployment=DEPLOYED,
        source=Source.REPORTS,
        aggregated_from=at - 15 * MINUTE,
        collected_at=at,
        next_update_at=at + 30_000,
        workspaces=WorkspaceCounts(pending=3, building=2, running=running, failed=1, stopped=18),
        agents=AgentUse(
            rx_bytes=73_412_345,
            tx_bytes=1_834_567_890,
            latency_p50_ms=latency,
            latency_p95_ms=max(latency, 121.0) if latency > 0 else latency,
            sessions=SessionCounts(vscode=sessions, ssh=4, jetbrains=2, reconnecting_pty=1),
        ),
    )


@dataclass
class Site:
    """The served pages, and the means to fill what they show."""

    store: Store
    client: Client
    violations: int = 0

    async def token(self, role: Role) -> str:
        """A token of a new user with that role."""
        user = await self.store.transact(partial(create_user, username=f"a-{role}", role=role, now=MOMENT))
        return await self.store.transact(partial(create_token, user_id=user.id, lifetime_ms=DAY, now=MOMENT))

    async def sign_in(self, role: Role = Role.OWNER) -> None:
        """Let the client carry the cookie of a new user, as if it had signed in."""
        self.client.session.cookie_jar.update_cookies({TOKEN_NAME: await self.token(role)}, self.client.make_url("/"))

    async def key(self, project: str, **given: Any) -> str:
        """A new browser key of that project, which is made if need be."""
        owner = await self.store.transact(partial(ensure_project, name=project, now=MOMENT))
        return await self.store.transact(
            partial(create_key, project_id=owner.id, kind=KeyKind.BROWSER, deployment=DEPLOYED, now=MOMENT, **given)
        )

    async def snapshot(self, taken: Snapshot) -> None:
        """Store a snapshot and make it the current one."""
        await self.store.transact(partial(snapshots.store, snapshot=taken))
        assert self.client.app is not None
        self.client.app[SNAPSHOTS].current = taken

    async def violation(self, **columns: Any) -> None:
        """Store a violation; what is not given is that of an image from a foreign origin, reported once just now."""
        project = await self.store.transact(partial(ensure_project, name="default", now=MOMENT))
        row = {
            "fingerprint": f"{self.violations:032x}",
            "deployment": DEPLOYED,
            "project_id": project.id,
            "effective_directive": "img-src",
            "blocked_kind": "origin",
            "blocked_origin": "https://cdn.example.net",
            "blocked_key": "https://cdn.example.net",
            "document_origin": "https://shop.example.com",
            "disposition": "report",
            "count": 1,
            "count_report": 1,
            "first_seen": MOMENT - DAY,
            "last_seen": MOMENT - MINUTE,
        } | columns
        self.violations += 1
        await self.store.transact(lambda connection: connection.execute(violations.insert(), [row]))

    async def page(self, path: str = "/") -> str:
        """The text of a page that must be a 200."""
        async with self.client.get(path) as answer:
            assert answer.status == 200
            return await answer.text()


def doorstep() -> web.Application:
    """What is served before anybody has signed in: it needs no store."""
    app = web.Application()
    app[PAGES] = Pages(metrics_url="http://127.0.0.1:2112/metrics")
    app[session.SIGN_IN] = session.SignIn(DAY)
    app.router.add_post("/signin", session.post_signin)
    app.router.add_post("/signout", session.post_signout)
    app.router.add_get("/static/{digest}/{name:.+}", static.get_static)
    return app


async def _nothing() -> None:
    """What the jobs of these pages do."""


async def _writing(app: web.Application) -> AsyncIterator[None]:
    app[WRITER].start()
    yield
    await app[WRITER].close()


def pages_app(store: Store, *, now: Callable[[], int] = lambda: MOMENT) -> web.Application:
    """All pages, and the history that their chart asks for."""
    app = doorstep()
    app[STORE], app[NOW], app[DEPLOYMENT], app[SNAPSHOTS] = store, now, DEPLOYED, Snapshots()
    app[CREDENTIALS] = Credentials(store, now=now, clock=lambda: 0.0)
    app[SINK] = app[WRITER] = Writer(store, {}, queue_limit=1, submit_timeout=1)
    app[LEADERSHIP] = Leadership(store, app[WRITER].write, ttl=15)
    app[CAP], app[SCHEDULE] = StoreCap(10**9), Schedule([Job("snapshot", _nothing, timedelta(seconds=30))], clock=now)
    app[NOISE], app[PRICES] = NoiseFilter(()), Prices(None)
    app[LATENCY] = Latency(store, time.monotonic, good_for=60, threshold=1)
    app.cleanup_ctx.append(_writing)
    for route in ROUTES:
        if route.path in PATHS:
            app.router.add_route(route.method, route.path, route.handler)
    app.router.add_get("/api/v2/deployment/stats/history", get_stats_history)
    return app


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """The Chromium of the machine, without a window."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def outside(aiohttp_client: AiohttpClient) -> Client:
    """A client at the doorstep."""
    return await aiohttp_client(doorstep())


@pytest.fixture
async def site(store: Store, aiohttp_client: AiohttpClient) -> Site:
    """The pages on a server of their own, signed out and without any data."""
    return Site(store, await aiohttp_client(pages_app(store)))
