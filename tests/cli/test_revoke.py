"""Keys and tokens that are listed and ended beside a running service, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from collector.__main__ import main
from collector.http.appkeys import STORE
from collector.http.auth import REFRESH_KEYS_S, TRUST_TOKEN_S
from collector.persist.meta import OWN_PROJECT
from collector.persist.projects import browser_key
from tests.inside import Inside

ENDED_WITHIN = 5  # seconds; what the help promises
EMPTY = "[]"
AGENT_STATS = "/api/v2/ingest/agent-stats"
VIOLATIONS = "/api/v2/csp/violations"

Status = Callable[[], Awaitable[int]]

pytestmark = pytest.mark.usefixtures("its_database")


async def run(*argv: str) -> int:
    """The exit code of a command, which has an event loop of its own."""
    return await asyncio.to_thread(main, argv)


async def ended(status: Status) -> None:
    """Return once it is 401: the service asks soon enough, however slow this machine is."""
    assert max(TRUST_TOKEN_S, 2 * REFRESH_KEYS_S) < ENDED_WITHIN
    async with asyncio.timeout(60):
        while await status() != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the promise is a time: the service looks by itself, and only its answer tells


async def test_a_revoked_feed_key_stops(inside: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that was in use is refused within 5 s of its revocation, and the list says since when."""

    async def status() -> int:
        return (await inside.post(AGENT_STATS, EMPTY, **inside.feed))[0]

    key = inside.secrets.feed_key
    assert await status() == 200
    assert await run("key", "revoke", key[:10]) == 0
    await ended(status)
    capsys.readouterr()

    assert await run("key", "list") == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines()}
    of_pages = await inside.app[STORE].read(partial(browser_key, name=OWN_PROJECT))
    assert set(lines) == {key[:10], inside.secrets.browser_key[:10], of_pages[:10]}
    assert "feed" in lines[key[:10]]
    assert "revoked" in lines[key[:10]]
    assert "revoked" not in lines[inside.secrets.browser_key[:10]]
    assert key[10:] not in shown
    assert inside.secrets.browser_key[10:] not in shown


@pytest.mark.slow
async def test_a_revoked_browser_key_stops(inside: Inside) -> None:
    """What every visitor's browser still sends with it is refused within 5 s."""
    report = '{"csp-report":{"document-uri":"https://shop.example/","effective-directive":"img-src","blocked-uri":"data"}}'

    async def status() -> int:
        return (await inside.post(inside.csp_path, report))[0]

    assert await status() == 200
    assert await run("key", "revoke", inside.secrets.browser_key[:10]) == 0
    await ended(status)


@pytest.mark.slow
async def test_a_revoked_token_stops(inside: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    """A token that was in use opens nothing within 5 s of its revocation; the list shows no secret of any token."""

    async def status() -> int:
        async with inside.client.get(VIOLATIONS, headers=inside.owner) as response:
            return response.status

    assert await status() == 200
    token_id, _, secret = inside.secrets.token.partition("-")
    assert await run("token", "revoke", token_id) == 0
    await ended(status)
    capsys.readouterr()

    assert await run("token", "list", "--user", "admin") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(token_id)
    assert "revoked" in line
    assert secret not in line


async def test_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """An id or a user that does not exist is one line and exit code 1."""
    for argv in (
        ("key", "revoke", "0123456789"),
        ("key", "revoke", "no id"),
        ("token", "revoke", "0123456789"),
        ("token", "list", "--user", "nobody"),
    ):
        assert await run(*argv) == 1, argv
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
