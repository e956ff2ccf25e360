"""Telemetry passed on to the address that this collector replaced, when the configuration names one.

It is passed on after it was stored and answered, from a bounded queue: whatever becomes of it, nobody waits. What does not
fit, or is not taken, is dropped and counted, as a Coder server itself would do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

import aiohttp
import structlog
from prometheus_client import Counter
from yarl import URL

QUEUED_BYTES = 64 * 1024 * 1024
QUEUED_MESSAGES = 256
WITHIN_S = 30.0
ACCEPTED = 202

FORWARDED = Counter(
    "collector_telemetry_forwarded", "Telemetry messages to pass on: accepted, refused, failed, queue_full.", ["result"]
)

log = structlog.get_logger(__name__)


class _Message(NamedTuple):
    path: str
    body: bytes
    version: str


class Forwarder:
    """Passes telemetry on to ``url``, one message at a time; its path and query are dropped as a Coder server drops them."""

    def __init__(self, url: str) -> None:
        self._url = URL(url)
        self._queue: deque[_Message] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many messages are queued."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to pass on. Needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name="telemetry forwarder")

    async def stop(self) -> None:
        """Pass nothing on any more. What is queued is lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def offer(self, path: str, body: bytes, version: str) -> None:
        """Queue a message when there is room. Returns at once."""
        if len(self._queue) >= QUEUED_MESSAGES or self._bytes + len(body) > QUEUED_BYTES:
            FORWARDED.labels("queue_full").inc()
            return
        self._queue.append(_Message(path, body, version))
        self._bytes += len(body)
        self._wake.set()

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    message = self._queue.popleft()
                    FORWARDED.labels(await self._pass_on(session, message)).inc()
                    self._bytes -= len(message.body)

    async def _pass_on(self, session: aiohttp.ClientSession, message: _Message) -> str:
        url = self._url.with_path(message.path).with_query(None)
        headers = {"User-Agent": "Go-http-client/1.1", "X-Coder-Version": message.version}
        skipped = ("Content-Type",)  # a Coder server sends none
        try:
            # A redirect would lead to an address that no configuration named.
            sent = session.post(url, data=message.body, headers=headers, skip_auto_headers=skipped, allow_redirects=False)
            async with sent as response:
                return "accepted" if response.status == ACCEPTED else "refused"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("telemetry could not be passed on", error=type(error).__name__)
            return "failed"
