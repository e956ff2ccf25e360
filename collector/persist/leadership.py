"""Whether this process leads: it keeps the lease while it can, and asks for it while another one has it.

The promise, to whoever writes through :meth:`Leadership.write`: the work is committed as that of the leader, or nothing of it
is and :class:`~collector.persist.lease.NotLeader` is raised. The database has the last word, by the epoch. Before it is asked,
the process's own clock ends the lead: a lease that could not be renewed is over for its holder no later than for everybody
else, because its time is counted from before the question.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import structlog
from prometheus_client import Counter
from sqlalchemy import Connection

from collector.persist.engine import Store
from collector.persist.isolation import words
from collector.persist.lease import Claim, Lease, NotLeader, fenced, release, renew, take

T = TypeVar("T")

JOBS = "jobs"
RENEWED_IN_PARTS = 3  # of the lease's life: two renewals may fail
LOOK_EVERY_S = 1.0  # while another one leads, or sooner where a third of the lease is shorter

CHANGES = Counter("collector_leader_changes", "Times that this process began or ended to lead: `begun` or `ended`.", ["change"])
BEGUN, ENDED = CHANGES.labels("begun"), CHANGES.labels("ended")

log = structlog.get_logger(__name__)


class Write(Protocol):
    """``Writer.write``."""

    def __call__(self, work: Callable[[Connection], T], /) -> Awaitable[T]:
        """Run ``work`` in a transaction of its own."""


def _nothing() -> None:
    pass


class Leadership:
    """One process's part in a lease.

    Args:
        store: the database that has the lease.
        write: how work is written once it is fenced.
        ttl: seconds that a lease lives without being renewed.
        name: of the lease.
        alone: whether no other process can be alive that holds it, as with an SQLite file, which is locked.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        write: Write,
        *,
        ttl: float,
        name: str = JOBS,
        alone: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = uuid.uuid4().hex[:12]
        self.seen: Lease | None = None  # the lease as it was last read, whoever has it
        self._store = store
        self._write = write
        self._ttl = ttl
        self._claim = Claim(name, self.holder, max(round(ttl * 1000), 1), alone)
        self._clock = clock
        self._epoch: int | None = None  # while it leads
        self._good_until = 0.0
        self._failed = False  # the last look
        self._begun: Callable[[], None] = _nothing
        self._ended: Callable[[], None] = _nothing
        self._task: asyncio.Task[None] | None = None

    @property
    def epoch(self) -> int | None:
        """The epoch in which this process leads; None while it does not."""
        return self._epoch if self.leads else None

    @property
    def leads(self) -> bool:
        """Whether this process may believe now that it leads."""
        return self._epoch is not None and self._clock() < self._good_until

    @property
    def look_again_s(self) -> float:
        """Seconds until the lease should be renewed, or asked for again."""
        third = self._ttl / RENEWED_IN_PARTS
        soon = min(third, LOOK_EVERY_S)
        if not self.leads:
            return soon
        return min(soon if self._failed else third, max(self._good_until - self._clock(), 0.0))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction of its own, as the leader's. What it raises is raised here, after a rollback.

        Raises:
            NotLeader: this process leads no more, and nothing was stored.
        """
        epoch = self._epoch
        if epoch is None or not self.leads:
            raise NotLeader(f"the lease {self._claim.name} may be another one's")
        try:
            return await self._write(lambda connection: fenced(connection, self._claim, epoch, work))
        except NotLeader as error:
            if self._epoch == epoch:
                self._end(str(error))
            raise

    async def start(self, *, begun: Callable[[], None] = _nothing, ended: Callable[[], None] = _nothing) -> None:
        """Ask once, then go on beside. ``begun`` and ``ended`` are called when this process begins and ceases to lead."""
        self._begun, self._ended = begun, ended
        await self.look()
        self._task = asyncio.create_task(self._run(), name="leadership")

    async def stop(self) -> None:
        """Let go of the lease at once. Call it when nothing is written in its name any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        epoch = self._epoch
        if epoch is None:
            return
        self._end("the service ends")
        try:
            async with asyncio.timeout(self._ttl):
                await self._store.transact(partial(release, claim=self._claim, epoch=epoch))
        except Exception as error:  # noqa: BLE001 — it runs out by itself
            log.warning("the lease could not be let go", error=words(error))

    async def look(self) -> None:
        """Renew the lease, or ask for it. A store that fails is logged; it ends the lead when the lease may have run out."""
        asked_at, epoch = self._clock(), self._epoch
        if epoch is not None and not self.leads:
            self._end("the lease was not renewed in time")
            epoch = None
        left = self._ttl if epoch is None else self._good_until - asked_at
        try:
            async with asyncio.timeout(min(self._ttl / RENEWED_IN_PARTS, left)):
                found = await self._store.transact(partial(self._asked, epoch=epoch))
            self._failed = False
        except Exception as error:  # noqa: BLE001 — the next look may find the store at work again
            self._failed = True
            log.warning("the lease could not be asked for", error=words(error), leads=self.leads)
            if epoch is not None and self._epoch == epoch and not self.leads:
                self._end("the lease was not renewed in time")
            return
        self._note(found, epoch, good_until=asked_at + self._ttl)

    def _asked(self, connection: Connection, epoch: int | None) -> Lease | None:
        return take(connection, self._claim) if epoch is None else renew(connection, self._claim, epoch)

    def _note(self, found: Lease | None, epoch: int | None, *, good_until: float) -> None:
        if epoch is not None and (found is None or self._epoch != epoch):
            # Renewed or not, jobs of that epoch have been told that it is over.
            if self._epoch == epoch:
                self._end("another one has taken the lease")
            return
        self.seen = found
        if found is None or found.holder != self.holder:
            return
        self._good_until = good_until
        if epoch is None:
            self._epoch = found.epoch
            BEGUN.inc()
            told = log.debug if self._claim.alone else log.info  # who is alone leads anyway
            told("this process leads", lease=self._claim.name, epoch=found.epoch, holder=self.holder)
            self._begun()

    def _end(self, why: str) -> None:
        told = log.debug if self._claim.alone else log.warning
        told("this process leads no more", lease=self._claim.name, epoch=self._epoch, why=why)
        self._epoch = None
        ENDED.inc()
        self._ended()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.look_again_s)
            await self.look()
