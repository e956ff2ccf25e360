"""The collector within the test's own event loop: real listeners, real store, and its parts at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from collector.app import FIRST, create_app
from collector.cli.listen import listening
from collector.config.loading import load
from collector.http.appkeys import NOW, STORE
from collector.jobs import TURNS
from collector.persist.accounts import create_token, create_user
from collector.persist.meta import FirstSecrets
from collector.wire.clock import wall_clock
from collector.wire.identity import Role
from tests.postgres import free_port

# Of a collector that many tests ask: together they ask more often than anybody may.
UNLIMITED = {"CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true", "COLLECTOR_INGEST_RATE_LIMIT": "0"}


@dataclass
class Inside:
    """A running collector; ``client`` resolves paths against its address."""

    app: web.Application
    url: str
    prometheus_url: str
    secrets: FirstSecrets
    client: aiohttp.ClientSession

    @property
    def owner(self) -> dict[str, str]:
        """The header that makes a request the owner's."""
        return {"Coder-Session-Token": self.secrets.token}

    @property
    def feed(self) -> dict[str, str]:
        """The header that brings the feed key."""
        return {"Authorization": f"Bearer {self.secrets.feed_key}"}

    @property
    def csp_path(self) -> str:
        """Where browsers post, with the browser key."""
        return f"/csp/reports?key={self.secrets.browser_key}"

    async def get(self, path: str) -> Any:
        """The JSON at ``path``, asked for by the owner, which must be a 200."""
        async with self.client.get(path, headers=self.owner) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def post(self, path: str, body: bytes | str, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a POST."""
        async with self.client.post(path, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def token(self, role: str) -> str:
        """A token, good for a day, of a new user with that role."""
        store, now = self.app[STORE], self.app[NOW]()
        user = await store.transact(partial(create_user, username=f"the-{role}", role=Role(role), now=now))
        return await store.transact(partial(create_token, user_id=user.id, lifetime_ms=86_400_000, now=now))

    async def roll_up(self) -> None:
        """Make the next snapshot, and the metrics that go with it, without waiting for their turn."""
        await self.app[TURNS].refresh()

    async def counted(self) -> dict[str, float]:
        """Every sample of the exporter, once what is in the store now is in a snapshot."""
        await self.roll_up()
        return await self.metrics()

    async def metrics(self) -> dict[str, float]:
        """Every sample of the exporter, by its name with labels."""
        async with self.client.get(self.prometheus_url) as response:
            lines = (await response.text()).splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}


@asynccontextmanager
async def running(
    database_url: str, data: Path, now: Callable[[], int] = wall_clock, /, **options: str
) -> AsyncIterator[Inside]:
    """A collector with ``options`` from the environment on top of free ports; on a database in use it has no ``secrets``."""
    async with _listening(database_url, data, now, options) as (app, url, metrics, client):
        first = app[FIRST][0] if app[FIRST] else FirstSecrets(token="", browser_key="", feed_key="")
        yield Inside(app, url, metrics, first, client)


@asynccontextmanager
async def standing_still(database_url: str, data: Path) -> AsyncIterator[Inside]:
    """A collector that many tests ask, one after the other; between two of them its loop, and so it itself, stands still.

    Each request takes a connection of its own: one that was left open may have been closed meanwhile.
    """
    async with (
        running(database_url, data, **UNLIMITED) as collector,
        aiohttp.ClientSession(collector.url, connector=aiohttp.TCPConnector(force_close=True)) as client,
    ):
        yield replace(collector, client=client)


@asynccontextmanager
async def running_beside(first: Inside, database_url: str, data: Path, /, **options: str) -> AsyncIterator[Inside]:
    """Another collector on the database that ``first`` has made its own."""
    async with _listening(database_url, data, first.app[NOW], options) as (app, url, metrics, client):
        yield Inside(app, url, metrics, first.secrets, client)


@asynccontextmanager
async def _listening(
    database_url: str, data: Path, now: Callable[[], int], options: dict[str, str]
) -> AsyncIterator[tuple[web.Application, str, str, aiohttp.ClientSession]]:
    http, prometheus = free_port(), free_port()
    env = {
        "COLLECTOR_DATA_DIR": str(data),
        "CODER_PG_CONNECTION_URL": database_url if database_url.startswith("postgres") else "",
        "COLLECTOR_CANARY": "false",  # what a test counts is what it has sent
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{http}",
        "CODER_PROMETHEUS_ADDRESS": f"127.0.0.1:{prometheus}",
        **options,
    }
    loaded = load({}, env)
    app = await create_app(loaded, now=now)
    async with listening(app, loaded.settings) as addresses, aiohttp.ClientSession(addresses.own) as client:
        yield app, addresses.own, f"http://127.0.0.1:{prometheus}/metrics", client
