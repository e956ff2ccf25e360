"""The check for a newer release, against a feed on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collector.outbound.updatecheck import FEED_LIMIT, FRESH_MS, Checker
from collector.persist.engine import Store
from collector.persist.updatecheck import kept_release
from collector.wire.general import Release, UpdateCheck

NOW = 1_768_384_800_000
OWN = UpdateCheck(current=True, version="v1.4.0", url="https://docs.example")
NEWER = {"tag_name": "v1.5.0", "html_url": "https://releases.example/v1.5.0", "assets": [{"id": 1}]}
NEWER_ANSWER = UpdateCheck(current=False, version="v1.5.0", url="https://releases.example/v1.5.0")


@dataclass
class Feed:
    """A feed that answers what it is told, once it is let."""

    url: str = ""
    status: int = 200
    body: Any = field(default_factory=lambda: NEWER)
    asked: int = 0
    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer, and count it."""
        self.asked += 1
        await self.let.wait()
        body = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        return web.Response(status=self.status, body=body)


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    """A feed that answers at once; unset ``let`` to hold it back."""
    made = Feed()
    made.let.set()
    app = web.Application()
    app.router.add_get("/latest", made.answer)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/latest"))
        yield made


def checker(store: Store, feed: Feed, now: int = NOW, **limits: float) -> Checker:
    return Checker(feed.url, OWN, store, store.transact, now=lambda: now, **limits)


async def test_a_newer_release_is_told(store: Store, feed: Feed) -> None:
    """Its version and its page; and a process after this one knows it without asking again within the day."""
    first = checker(store, feed)
    await first.check()
    assert await first.answer() == NEWER_ANSWER

    second = checker(store, feed, NOW + FRESH_MS - 1)
    await second.check()
    assert await second.answer() == NEWER_ANSWER
    assert feed.asked == 1

    await checker(store, feed, NOW + FRESH_MS).check()
    assert feed.asked == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, NEWER),
        (404, NEWER),
        (200, b""),
        (200, b"[" * 100_000),
        (200, b"\xff"),
        (200, {"tag_name": "v9"}),
        (200, {"tag_name": "v9\n", "html_url": "https://x.example"}),
        (200, {"tag_name": "v9", "html_url": "javascript:alert(1)"}),
        (200, b" " * (FEED_LIMIT + 1)),
    ],
)
async def test_a_feed_that_fails_changes_nothing(store: Store, feed: Feed, status: int, body: Any) -> None:
    """What was known stays the answer, and nothing is raised."""
    await checker(store, feed).check()
    feed.status, feed.body = status, body
    later = checker(store, feed, NOW + 2 * FRESH_MS)

    await later.check()

    assert feed.asked == 2
    assert await later.answer() == NEWER_ANSWER
    assert await store.read(kept_release) == Release(NEWER_ANSWER.version, NEWER_ANSWER.url, NOW)


async def test_a_feed_out_of_reach_is_no_error(store: Store, feed: Feed) -> None:
    """Without anything known this build is current, under its own version."""
    feed.url = "http://127.0.0.1:1/latest"
    alone = checker(store, feed)
    await alone.check()

    assert await alone.answer() == OWN


async def test_a_feed_that_says_nothing_is_given_up(store: Store, feed: Feed) -> None:
    """Once its time is over."""
    feed.let.clear()
    alone = checker(store, feed, fetch_within=0.05)
    await alone.check()

    assert feed.asked == 1
    assert await alone.answer() == OWN
    feed.let.set()


async def test_an_early_request_waits_for_the_first_check(store: Store, feed: Feed) -> None:
    """It gets the answer of the feed, when it comes in time."""
    feed.let.clear()
    early = checker(store, feed)
    checking = asyncio.create_task(early.check())
    asking = asyncio.create_task(early.answer())
    await asyncio.sleep(0)
    assert not asking.done()

    feed.let.set()

    assert await asking == NEWER_ANSWER
    await checking


async def test_an_early_request_does_not_wait_for_ever(store: Store, feed: Feed) -> None:
    """After its time this build counts as current."""
    assert await checker(store, feed, wait=0.01).answer() == OWN


async def test_without_a_feed_nobody_waits(store: Store, feed: Feed) -> None:
    """The answer is there at once."""
    feed.url = ""
    assert await checker(store, feed, wait=3600).answer() == OWN
