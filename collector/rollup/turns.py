"""Snapshots where there are several replicas: the leader builds one in each turn, and everybody shows it.

Turns are the multiples of the interval since the epoch. Who begins to lead in the middle of one looks first whether it has its
snapshot already; after that it builds one at the begin of each turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from collector.persist.engine import Store
from collector.persist.leadership import Write
from collector.persist.shown import is_built, shown
from collector.rollup.snapshot import Snapshots, refresh, stored_snapshot
from collector.wire.deployment import Source


class Turns:
    """One replica's part in them.

    Args:
        store: where snapshots are read.
        write: how the leader stores one.
        snapshots: where the current ones are found.
        own: the collector's own deployment.
        now: milliseconds since the epoch.
        interval_ms: how long a turn is.
        epoch: of the lease that this process has; None while it has none.
    """

    def __init__(
        self,
        store: Store,
        write: Write,
        snapshots: Snapshots,
        own: str,
        *,
        now: Callable[[], int],
        interval_ms: int,
        epoch: Callable[[], int | None],
    ) -> None:
        self._store = store
        self._write = write
        self._snapshots = snapshots
        self._own = own
        self._now = now
        self._interval_ms = interval_ms
        self._epoch = epoch
        self._begun: int | None = None  # the epoch in which this process has seen to a turn

    async def build(self) -> None:
        """See to it that this turn has its snapshot; the leader's job.

        Raises:
            NotLeader: another one sees to it by now; nothing was stored, and nothing else is shown.
        """
        epoch = self._epoch()
        if epoch != self._begun and await self._is_built():
            await self._show()
        else:
            await refresh(self._store, self._write, self._snapshots, self._own, now=self._now, interval_ms=self._interval_ms)
        self._begun = epoch

    async def follow(self) -> None:
        """Show what the leader shows, unless that is this process."""
        epoch = self._epoch()
        if epoch is None or epoch != self._begun:
            await self._show()

    async def _is_built(self) -> bool:
        since = self._now() // self._interval_ms * self._interval_ms
        return await self._store.read(partial(is_built, source=Source.REPORTS.value, since=since))

    async def _show(self) -> None:
        snapshots = self._snapshots
        before = snapshots.of
        found = await self._store.read(shown)
        if found.default is None or snapshots.of is not before:  # what was built meanwhile is newer
            return
        told = {deployment: Source(source) for deployment, source in found.said.items()}
        snapshots.swap([stored_snapshot(row) for row in found.rows], found.default, told=told)
