"""Who is kept as whom, whose data is erased, and where telemetry is passed on to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import Connection, select

from collector.__main__ import main
from collector.http.appkeys import IDENTITIES, STORE
from collector.normalize.identity import NOBODY
from collector.outbound.telemetry import QUEUED_MESSAGES, Forwarder
from collector.persist.aibridge_tables import aibridge_interceptions, aibridge_prompts
from collector.persist.tables import agents
from collector.persist.telemetry_tables import inventory
from collector.persist.userdata import remember_erased
from collector.telemetry import learn_erased
from tests import messages
from tests.aibridge import line, start
from tests.ingest.test_aibridge import posted, total
from tests.ingest.test_telemetry import on_disk, send
from tests.inside import Inside, running
from tests.postgres import free_port

KEY_ID = "Kq7TestKey"  # of a user's API key, as a log has it
PROMPT = "why is my build red"
ROW = {
    "agent_id": "agent",
    "workspace_id": "w",
    "user_id": messages.OWNER,
    "template_id": "t",
    "username": "grace-hopper",
    "stats": {"rx_bytes": 1},
}


async def bring(inside: Inside) -> None:
    """Send one message of each kind that names a user."""
    assert await send(inside, "/snapshot", messages.full_snapshot()) == 202
    status, answer = await inside.post("/api/v2/ingest/agent-stats", json.dumps([ROW]), **inside.feed)
    assert (status, answer["accepted"]) == (200, 1)
    workspace = {"id": "w", "name": "w", "owner_id": messages.OWNER, "template_id": "t", "deleted": False}
    status, answer = await inside.post("/api/v2/ingest/workspaces", json.dumps([workspace]), **inside.feed)
    assert (status, answer["accepted"]) == (200, 1)
    log = start(initiator_id=messages.OWNER, api_key_id=KEY_ID) + line("prompt_usage", msg_id="m", prompt=PROMPT)
    assert (await posted(inside, log))["rejected_count"] == 0


def named(connection: Connection) -> set[str | None]:
    """Every user that a row names."""
    columns = (inventory.c.user_id, agents.c.user_id, aibridge_interceptions.c.initiator_id)
    return {user_id for column in columns for user_id in connection.scalars(select(column))} - {None}


def texts(connection: Connection) -> list[str | None]:
    """The prompts as they are kept."""
    return list(connection.scalars(select(aibridge_prompts.c.prompt)))


@pytest.mark.parametrize("kept", ["pseudonym", "none"])
async def test_identity_is_not_stored(tmp_path: Path, kept: str) -> None:
    """With a pseudonym, or nothing, in place of who somebody is, neither id nor name of a user reaches the disk."""
    async with running("sqlite", tmp_path, COLLECTOR_USER_IDENTITY=kept) as inside:
        await bring(inside)
        users = await inside.app[STORE].read(named)
        pseudonym = inside.app[IDENTITIES].pseudonym(messages.OWNER)
        _, stored = on_disk(tmp_path)

    assert messages.OWNER.encode() not in stored
    assert b"grace-hopper" not in stored
    assert KEY_ID.encode() not in stored
    assert users == ({pseudonym} if kept == "pseudonym" else {NOBODY})


async def test_an_erased_user_stays_erased(tmp_path: Path) -> None:
    """Erasing leaves no row that names the user, and what comes in later names nobody, in a service that was running.

    What it asked models for stays as numbers, without its texts.
    """
    async with running("sqlite", tmp_path, COLLECTOR_AIBRIDGE_STORE_PROMPTS="true") as inside:
        await bring(inside)
        assert await inside.app[STORE].read(named) == {messages.OWNER}

        erase = ["user-data", "erase", messages.OWNER.upper(), "--data-dir", str(tmp_path)]
        assert await asyncio.to_thread(main, erase) == 0
        assert await inside.app[STORE].read(named) == {NOBODY}
        assert await inside.app[STORE].read(texts) == [None]
        assert (await total(inside))["prompts"] == 1

        await learn_erased(inside.app)
        await bring(inside)
        assert await inside.app[STORE].read(named) == {NOBODY}


async def test_what_came_in_meanwhile_is_erased_too(inside: Inside) -> None:
    """What a running service stored before it learnt of an erasure goes when it does."""
    mark = inside.app[IDENTITIES].mark(messages.OWNER)
    await bring(inside)
    await inside.app[STORE].transact(partial(remember_erased, marks=[mark], now=1))

    await learn_erased(inside.app)

    assert await inside.app[STORE].read(named) == {NOBODY}


class Elsewhere:
    """The address that was replaced: it notes what it gets."""

    def __init__(self, status: int = 202) -> None:
        self.got: asyncio.Queue[tuple[str, dict[str, str], bytes]] = asyncio.Queue()
        self.status = status

    async def take(self, request: web.Request) -> web.Response:
        await self.got.put((request.path_qs, dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def listening(elsewhere: Elsewhere) -> AsyncIterator[str]:
    """Where ``elsewhere`` is reached."""
    app = web.Application()
    app.router.add_post("/{path:.*}", elsewhere.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"127.0.0.1:{port}"
    await runner.cleanup()


async def test_telemetry_is_passed_on_whole(tmp_path: Path) -> None:
    """What was stored goes on to the configured address as it came: same path, same bytes, same version, no Content-Type."""
    elsewhere = Elsewhere()
    async with listening(elsewhere) as address:
        url = f"http://any:secret@{address}/lost?x=1"
        async with running("sqlite", tmp_path, COLLECTOR_TELEMETRY_FORWARD_URL=url) as inside:
            body = messages.full_snapshot()
            assert await send(inside, "/snapshot", body) == 202
            async with asyncio.timeout(60):
                path, headers, got = await elsewhere.got.get()

    assert (path, got) == ("/snapshot", body)
    assert headers["X-Coder-Version"] == "v2.30.0"
    assert "Content-Type" not in headers
    assert headers["Authorization"].startswith("Basic ")


async def test_an_address_that_fails_delays_nobody(tmp_path: Path) -> None:
    """With nobody at the configured address a message is still 202."""
    url = f"http://127.0.0.1:{free_port()}"
    async with running("sqlite", tmp_path, COLLECTOR_TELEMETRY_FORWARD_URL=url) as inside:
        for _ in range(3):
            assert await send(inside, "/snapshot", messages.full_snapshot()) == 202


async def test_no_redirect_is_followed() -> None:
    """An answer cannot lead telemetry to an address that nobody configured."""
    elsewhere = Elsewhere(status=307)
    async with listening(elsewhere) as address:
        forwarder = Forwarder(f"http://{address}")
        forwarder.start()
        forwarder.offer("/snapshot", b"1", "")
        forwarder.offer("/deployment", b"2", "")
        async with asyncio.timeout(60):
            paths = [(await elsewhere.got.get())[0] for _ in range(2)]
        await forwarder.stop()

    assert paths == ["/snapshot", "/deployment"]


def test_the_queue_is_bounded() -> None:
    """What does not fit is dropped at once."""
    forwarder = Forwarder("http://127.0.0.1:1")
    for _ in range(QUEUED_MESSAGES + 10):
        forwarder.offer("/snapshot", b"x", "")
    assert forwarder.waiting == QUEUED_MESSAGES
