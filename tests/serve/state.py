"""States of a running collector that the tests of what it serves begin with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text

from collector.app import FIRST, create_app
from collector.cli.listen import listening
from collector.config.loading import load
from collector.http.appkeys import SCHEDULE, STORE
from tests.inside import Inside
from tests.postgres import free_port


async def rename(inside_store: Any, old: str, new: str) -> None:
    """Take a table away from the service, or give it back: what needs it fails meanwhile, as with a broken disk."""
    await inside_store.transact(lambda connection: connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}")))


@asynccontextmanager
async def without_snapshots(database_url: str, data: Path) -> AsyncIterator[Inside]:
    """A collector that cannot store a snapshot, and so has none."""
    http, prometheus = free_port(), free_port()
    env = {
        "COLLECTOR_DATA_DIR": str(data),
        "CODER_PG_CONNECTION_URL": database_url if database_url.startswith("postgres") else "",
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{http}",
        "CODER_PROMETHEUS_ADDRESS": f"127.0.0.1:{prometheus}",
    }
    loaded = load({}, env)
    app = await create_app(loaded)
    await rename(app[STORE], "snapshots", "away")
    async with listening(app, loaded.settings) as addresses, aiohttp.ClientSession(addresses.own) as client:
        yield Inside(app, addresses.own, f"http://127.0.0.1:{prometheus}/metrics", app[FIRST][0], client)


async def checks(inside: Inside) -> tuple[int, dict[str, tuple[bool, str]]]:
    """The status of /readyz, and by name whether a check passed and its words."""
    async with inside.client.get("/readyz") as response:
        found = (await response.json())["checks"]
        return response.status, {check["name"]: (check["ok"], check["detail"]) for check in found}


async def ready(inside: Inside) -> None:
    """Return when every check passes and every job has run once: nothing of the start is under way any more.

    A job's write that succeeds is taken as a sign that the store works, so a late one would hide a failure that a test makes.
    """
    async with asyncio.timeout(60):
        while (await checks(inside))[0] != 200 or not all(facts.runs for facts in inside.app[SCHEDULE].facts.values()):
            pass
