"""The check for a newer release: a feed is asked once a day, and what it said is kept in the store.

A feed that fails is nobody's error: it is logged, what was known stays, and the next attempt is a day later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
import structlog

from collector.normalize.updatecheck import is_current, release
from collector.persist.engine import Store
from collector.persist.updatecheck import keep_release, kept_release
from collector.wire.errors import InvalidReport
from collector.wire.general import Release, UpdateCheck

EVERY = timedelta(hours=24)
FRESH_MS = 23 * 3_600_000  # younger than this, the result of a process before this one or beside it is taken instead
FETCH_WITHIN_S = 30.0
WAIT_S = 10.0  # for the first check, by a request that comes before its end
FEED_LIMIT = 1024 * 1024  # bytes; a release with its notes and files is some 100 kB

Write = Callable[[Callable[[Any], None]], Awaitable[None]]

log = structlog.get_logger(__name__)


class Checker:
    """Asks ``feed_url`` for the newest release and compares it with ``own``; with an empty URL it never asks.

    Args:
        feed_url: answers with the JSON of one release: ``tag_name`` and ``html_url``.
        own: the version that runs and its URL, which are the answer while nothing else is known.
        store: where the newest release is read from.
        write: how it is stored.
        now: milliseconds since the epoch.
        fetch_within: seconds that the feed may take.
        wait: seconds that an answer may wait for the first check.
    """

    def __init__(
        self,
        feed_url: str,
        own: UpdateCheck,
        store: Store,
        write: Write,
        *,
        now: Callable[[], int],
        fetch_within: float = FETCH_WITHIN_S,
        wait: float = WAIT_S,
    ) -> None:
        self._feed_url = feed_url
        self._own = own
        self._store = store
        self._write = write
        self._now = now
        self._fetch_within = fetch_within
        self._wait = wait
        self._newest: Release | None = None
        self._checked = asyncio.Event()

    async def check(self) -> None:
        """Ask the feed, unless it was asked within the day. Raises only when the store fails."""
        try:
            self._newest = await self._store.read(kept_release) or self._newest
            if self._newest is None or self._newest.checked_at <= self._now() - FRESH_MS:
                await self._ask()
        finally:
            self._checked.set()

    async def answer(self) -> UpdateCheck:
        """What is known; before the end of the first check it is waited for, a while."""
        if not self._feed_url:
            return self._own
        if not self._checked.is_set():
            try:
                await asyncio.wait_for(self._checked.wait(), self._wait)
            except TimeoutError:
                return self._own
        newest = self._newest
        if newest is None:
            return self._own
        return UpdateCheck(is_current(self._own.version, newest.version), newest.version, newest.url)

    async def _ask(self) -> None:
        try:
            found = release(await self._fetched(), checked_at=self._now())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, InvalidReport) as error:
            # The type alone: an error of aiohttp names the URL, which may hold a password.
            log.warning("the releases feed cannot be read", error=type(error).__name__)
            return
        await self._write(partial(keep_release, release=found))
        self._newest = found

    async def _fetched(self) -> bytes:
        async with (
            asyncio.timeout(self._fetch_within),
            aiohttp.ClientSession(trust_env=True, headers={"Accept": "application/json"}) as session,
            session.get(self._feed_url, raise_for_status=True) as response,
        ):
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > FEED_LIMIT:
                    raise InvalidReport("The answer of the feed is too long.")
            return bytes(body)
