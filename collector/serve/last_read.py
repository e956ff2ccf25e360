"""What the store holds for the exporter: read when somebody scrapes, and kept for when the store cannot be read.

That is just when the metrics of the process are asked for most: a store that is away must not take them away too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import structlog

from collector.persist.engine import Store, storage_failed
from collector.rollup.stored import Stored, stored

WAIT_S = 3.0  # Prometheus waits for ten, the store for thirty until it gives up

log = structlog.get_logger(__name__)


class Read(NamedTuple):
    """What was read, and of when (ms) it is."""

    stored: Stored
    at: int


class LastRead:
    """The newest reading. However many scrape at once, one connection is busy with it, also while it hangs.

    Args:
        store: what is read.
        now: milliseconds since the epoch.
        wait_s: for how long somebody who scrapes waits for it.
    """

    def __init__(self, store: Store, *, now: Callable[[], int], wait_s: float = WAIT_S) -> None:
        self._store = store
        self._now = now
        self._wait_s = wait_s
        self._newest: Read | None = None
        self._reading: asyncio.Task[None] | None = None

    async def newest(self) -> Read | None:
        """The store as it is now; as it was last while it fails or takes too long; None when it was never read."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        done, _ = await asyncio.wait({self._reading}, timeout=self._wait_s)
        for reading in done:
            reading.result()  # raises what the store is not to blame for
        return self._newest

    async def close(self) -> None:
        """Let go of the store."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _read(self) -> None:
        at = self._now()
        try:
            self._newest = Read(await self._store.read(partial(stored, now=at)), at)
        except Exception as error:
            if not storage_failed(error):
                raise
            log.warning("the store cannot be read: metrics are told as they were", error=type(error).__name__)
