"""How fast the database answers, measured when somebody asks for it and no more often than the option says."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

import structlog
from aiohttp import web

from collector.persist.engine import Store, ping, storage_failed

PINGS = 5  # their median is what counts: one may have met a checkpoint
PING_WITHIN_S = 30.0  # a server that went away without a word; whoever probes waits for less
FAILURE_GOOD_FOR_S = 1.0  # a database that is back is seen at once, and one that is away is not asked by every probe

log = structlog.get_logger(__name__)


class Latency:
    """The median latency of a few reads that do nothing.

    Args:
        store: what is measured.
        clock: monotonic seconds.
        good_for: seconds for which a measurement is not repeated.
        threshold: seconds from which on the database is called slow.
    """

    def __init__(self, store: Store, clock: Callable[[], float], *, good_for: float, threshold: float) -> None:
        self.threshold = threshold
        self._store = store
        self._clock = clock
        self._good_for = good_for
        self._measured: float | None = None  # None: it did not answer
        self._until = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def median(self) -> float | None:
        """Seconds; None when the database does not answer."""
        async with self._one_at_a_time:
            if self._clock() >= self._until:
                self._measured = await self._measure()
                self._until = self._clock() + (FAILURE_GOOD_FOR_S if self._measured is None else self._good_for)
            return self._measured

    async def _measure(self) -> float | None:
        seconds = []
        try:
            async with asyncio.timeout(PING_WITHIN_S):
                for _ in range(PINGS):
                    started = self._clock()
                    await self._store.read(ping)
                    seconds.append(self._clock() - started)
        except Exception as error:
            if not storage_failed(error):
                raise
            log.warning("the database does not answer", error=type(error).__name__)
            return None
        return statistics.median(seconds)


LATENCY: web.AppKey[Latency] = web.AppKey("latency", Latency)
