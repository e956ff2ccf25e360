"""The canary: a report that the service posts to itself through its own door, so that somebody notices when none gets in.

It is a report of type ``test`` of the Reporting API, with the browser key of a project of its own: it takes the way of every
browser's report, to its commit, and is counted beside the violations, not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import aiohttp
import structlog

from collector.persist.meta import CANARY_PROJECT

PROJECT = CANARY_PROJECT
EVERY_MS = 60_000
LOOK_EVERY = timedelta(seconds=1)
ANSWER_WITHIN_S = 20.0  # longer than a request may wait for its commit
BODY = b'[{"type":"test","age":0,"url":"https://canary.invalid/","user_agent":"collector","body":{"message":"canary"}}]'
HEADERS = {"Content-Type": "application/reports+json", "User-Agent": "collector"}

log = structlog.get_logger(__name__)


class Canary:
    """Posts a report every minute, from when :meth:`listens` has said where; the first one at once.

    Args:
        key: the browser key that it posts with.
        now: milliseconds since the epoch.
    """

    def __init__(self, key: str, *, now: Callable[[], int]) -> None:
        self.last_success_at: int | None = None  # ms
        self._key, self._now = key, now
        self._url, self._due_at = "", 0

    def listens(self, url: str) -> None:
        """The service is reached at ``url`` from this machine."""
        self._url = f"{url}/api/v2/csp/reports"

    async def run(self) -> None:
        """Post if it is time to. A failure is logged, and the metric stands still."""
        now = self._now()
        if not self._url or now < self._due_at:
            return
        self._due_at = now + EVERY_MS
        try:
            await self._post()
        except (TimeoutError, aiohttp.ClientError) as error:
            status = error.status if isinstance(error, aiohttp.ClientResponseError) else None
            # The type alone: aiohttp's words name the URL, and with it the key.
            log.warning("the service cannot post a report to itself", error=type(error).__name__, status=status)
            return
        self.last_success_at = self._now()

    async def _post(self) -> None:
        # Nothing is verified: the certificate is our own, and has the names that others reach us by.
        connector = aiohttp.TCPConnector(ssl=False)
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, headers=HEADERS) as session,
            session.post(self._url, params={"key": self._key}, data=BODY, raise_for_status=True),
        ):
            pass
