"""Snapshots and metrics where there are several replicas: the leader makes them once in each turn, and everybody shows them.

Turns are the multiples of the interval since the epoch. Who begins to lead in the middle of one looks first whether it has its
snapshot already; after that it builds one at the begin of each turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from collector.persist.engine import Store
from collector.persist.shown import KeptMetrics, Key, Shown, is_built, kept_metrics, note_metrics, note_shown, shown
from collector.rollup.moment import Asked, Moment, moment
from collector.rollup.snapshot import Built, Snapshots, built, keep_all, stored_snapshot
from collector.wire.deployment import Source


class Prepared(NamedTuple):
    """Metrics of one moment: as they are kept for the other replicas, and how they are shown here, which cannot fail."""

    kept: KeptMetrics
    show: Callable[[], None]


class Metrics(Protocol):
    """What shows metrics to Prometheus: always all that were prepared together. Neither way holds up the event loop."""

    async def prepare(self, moment: Moment) -> Prepared:
        """Those of ``moment``."""

    async def restore(self, kept: KeptMetrics) -> Prepared:
        """Those that another process has prepared."""


class Turns:
    """One replica's part in them.

    Args:
        store: where everything is read.
        write: how the leader stores what it has made.
        snapshots: where the current ones are found.
        own: the collector's own deployment.
        metrics: who shows what was read with the snapshots, from then on.
        asked: what is read for it.
        now: milliseconds since the epoch.
        interval_ms: how long a turn is.
        epoch: of the lease that this process has; None while it has none.
    """

    def __init__(
        self,
        store: Store,
        write: Callable[[Callable[[Connection], None]], Awaitable[None]],
        snapshots: Snapshots,
        own: str,
        metrics: Metrics,
        *,
        asked: Asked = Asked(),  # noqa: B008 — it never changes
        now: Callable[[], int],
        interval_ms: int,
        epoch: Callable[[], int | None],
    ) -> None:
        self._store = store
        self._write = write
        self._snapshots = snapshots
        self._own = own
        self._metrics = metrics
        self._asked = asked
        self._now = now
        self._interval_ms = interval_ms
        self._epoch = epoch
        self._begun: int | None = None  # the epoch in which this process has seen to a turn
        self._shown_at: int | None = None  # of the metrics that are shown

    async def build(self) -> None:
        """See to it that this turn has its snapshot and its metrics; the leader's job.

        Raises:
            NotLeader: another one sees to it by now; nothing was stored, and nothing else is shown.
        """
        epoch = self._epoch()
        if epoch != self._begun and await self._is_built():
            await self._show()
        else:
            await self.refresh()
        self._begun = epoch

    async def follow(self) -> None:
        """Show what the leader shows, unless that is this process."""
        epoch = self._epoch()
        if epoch is None or epoch != self._begun:
            await self._show()

    async def refresh(self) -> None:
        """Read everything in one transaction, have it stored, then show it: all of it, or nothing when any of it fails."""
        now, number = self._now(), self._snapshots.begin()
        found, read = await self._store.read(partial(self._read, now=now))
        prepared = await self._metrics.prepare(read)
        said = frozenset(self._snapshots.said)
        keys = [Key(snapshot.deployment, snapshot.source.value, snapshot.collected_at) for snapshot in found.snapshots]

        def keep(connection: Connection) -> None:
            keep_all(connection, found, now=now)
            note_shown(connection, keys, default=found.default, said=said)
            note_metrics(connection, prepared.kept)

        await self._write(keep)
        if self._snapshots.swap(found.snapshots, found.default, number=number):
            self._show_metrics(prepared)

    def _read(self, connection: Connection, now: int) -> tuple[Built, Moment]:
        said = self._snapshots.said
        found = built(connection, self._own, now=now, interval_ms=self._interval_ms, said=said)
        return found, moment(connection, found, self._asked, now=now)

    async def _is_built(self) -> bool:
        since = self._now() // self._interval_ms * self._interval_ms
        return await self._store.read(partial(is_built, source=Source.REPORTS.value, since=since))

    async def _show(self) -> None:
        snapshots = self._snapshots
        before = snapshots.of
        found, kept = await self._store.read(self._read_shown)
        prepared = None if kept is None else await self._metrics.restore(kept)
        if found.default is None or snapshots.of is not before:  # what was built meanwhile is newer
            return
        told = {deployment: Source(source) for deployment, source in found.said.items()}
        snapshots.swap([stored_snapshot(row) for row in found.rows], found.default, told=told)
        if prepared is not None:
            self._show_metrics(prepared)

    def _read_shown(self, connection: Connection) -> tuple[Shown, KeptMetrics | None]:
        return shown(connection), kept_metrics(connection, unless=self._shown_at)

    def _show_metrics(self, prepared: Prepared) -> None:
        prepared.show()
        self._shown_at = prepared.kept.at
