"""Group commit: an answer is given only after the data behind it is durable, and one fsync serves all who wait.

The promise, to whoever calls :meth:`Writer.submit`:

* It returns only after ``COMMIT``: the records are in the store, whatever dies afterwards.
* It raises :class:`~collector.wire.errors.Overloaded` only when nothing of the submission was stored. The caller may
  send the same again without being counted twice.
* Submissions are stored in the order they came; a record that the store will not take is refused by name, alone.

How. Submissions wait in one bounded queue. The writer takes all that is there, stores it in one transaction, commits, and
wakes everybody whose records were in it; what arrives meanwhile forms the next batch. So there is no timer to tune: alone,
a report is written at once, and under load the batch grows to what one commit takes.

When the batch fails, the question is whose fault it is:

* the *store's* (locked, full, gone): the batch is kept and tried again with growing pauses, in front of what has come
  since. A submission that has waited longer than ``submit_timeout`` is taken out, once it is certain that it is not stored;
* a *record's*: the batch is stored again behind savepoints (``isolation.py``), and all but the faulty record commits.

``close`` takes nothing more, stores what is queued, and returns when all have their answer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import Connection

from collector.persist.applied import AppliedMessages, unapplied
from collector.persist.engine import Store, storage_failed
from collector.persist.failure import Failure
from collector.persist.isolation import isolated, words
from collector.persist.marks import Marker
from collector.persist.stations import Stations, StoreRecords
from collector.persist.submission import Refused, Submission, taken, weight_of
from collector.wire.errors import Overloaded
from collector.wire.records import Record, Refusal

T = TypeVar("T")

RETRY_FIRST_S, RETRY_LAST_S, PROBE_EVERY_S = 0.05, 1.0, 1.0  # the last while it fails and nobody brings anything

COMMITS = Counter("collector_commits", "Transactions committed by the writer.")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
COMMIT_SECONDS = Histogram("collector_commit_seconds", "Time that a transaction takes, its commit included.", buckets=SECONDS)
SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
BATCH_SIZE = Histogram("collector_batch_submissions", "Submissions of one transaction.", buckets=SIZES)
REFUSED_RECORDS = Counter("collector_refused_records", "Records that the store would not take.")

log = structlog.get_logger(__name__)


class Writer:
    """The one place through which ``serve`` writes.

    Args:
        store: the database.
        stations: for each kind of record, what stores some of them within a transaction.
        queue_limit: reports and rows that may wait; one more is ``Overloaded``.
        submit_timeout: seconds a submission may wait for a store that fails.
        ended: told after each transaction of records whether all of it is committed.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        stations: Mapping[type, StoreRecords],
        *,
        queue_limit: int,
        submit_timeout: float,
        ended: Callable[..., None] = lambda *, whole: None,  # noqa: ARG005
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._stations = Stations(stations)
        self._queue_limit = queue_limit
        self._submit_timeout = submit_timeout
        self._ended = ended
        self._clock = clock
        self._queue: deque[Submission] = deque()
        self._under_way: list[Submission] = []
        self._works: deque[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = deque()
        self.queue_depth = 0  # reports and rows that wait, those of the transaction under way among them
        self._wake, self._closing = asyncio.Event(), False
        self._marker, self._number = Marker(), 0  # the number is that of the batch under way
        self._in_doubt = False  # an attempt at it got as far as COMMIT and then failed
        self._refused: dict[int, tuple[Refusal, ...]] = {}  # by position in it, as of the attempt that may have gone through
        self._task: asyncio.Task[None] | None = None
        self.failure = Failure(clock)
        self.applied: AppliedMessages | None = None  # of the stream that messages come from, when there is one
        self.refusing = False  # set while the store is far over its cap: nothing more is taken

    def start(self) -> None:
        """Begin to write. Needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name="writer")

    @property
    def works(self) -> bool:
        """Whether the last transaction went through."""
        return self.failure.since is None

    @property
    def has_room(self) -> bool:
        """Whether a submission would be taken now."""
        return not self._closing and self.queue_depth < self._queue_limit

    @property
    def oldest_s(self) -> float:
        """How long the oldest submission has waited, in seconds, messages of a stream left out; 0 when nothing waits."""
        oldest = next((s for s in chain(self._under_way, self._queue) if not s.done.done() and s.message is None), None)
        return 0.0 if oldest is None else self._clock() + self._submit_timeout - oldest.deadline

    async def submit(self, records: Sequence[Record], *, message: int | None = None) -> tuple[Refusal, ...]:
        """Store ``records`` and return once they are committed, with the refusals of those the store would not take.

        A ``message`` of the stream, by its number, is stored once, and waits for as long as the store fails.

        Raises:
            Overloaded: nothing was stored, because the queue is full, the store fails, or the service is stopping.
        """
        weight = weight_of(records)
        told = weight if message is None else 0  # who brought a message has had his answer
        if self._closing:
            raise Refused.STOPPING.counted(told)
        if self.refusing:
            raise Refused.STORE_FULL.counted(told)
        # The last one taken may overshoot the limit, or a large body would never find its whole place free.
        if not self.has_room:
            raise Refused.QUEUE_FULL.counted(told)
        done: asyncio.Future[tuple[Refusal, ...]] = asyncio.get_running_loop().create_future()
        deadline = self._clock() + self._submit_timeout if message is None else math.inf
        self._queue.append(Submission(records, weight, deadline, done, message))
        self.queue_depth += weight
        self._wake.set()
        return await done

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction of its own, between two batches. What it raises is raised here, after a rollback."""
        if self._closing:
            raise Overloaded("The service is stopping.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._works.append((work, done))
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Take nothing more, store what is queued, and end. Whoever waits for a store that fails is Overloaded."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            if self._queue:
                self._under_way = taken(self._queue)
                await self._commit(self._under_way)
                self._under_way = []
            if self._works:
                await self._do(*self._works.popleft())
            if self._queue or self._works:
                continue
            if self._closing:
                return
            self._wake.clear()
            if self.failure.since is None:
                await self._wake.wait()
            else:
                await self._look_after()

    async def _look_after(self) -> None:
        """Wait for work, and see meanwhile whether the store works again: nobody sends to a service that is not ready."""
        try:
            async with asyncio.timeout(PROBE_EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            try:
                await self._store.transact(self._marker.probe)
            except Exception as error:  # noqa: BLE001 — the writer outlives every failure of the store
                self.failure.note(error)
            else:
                self._note_success()

    async def _do(self, work: Callable[[Connection], T], done: asyncio.Future[T]) -> None:
        try:
            result = await self._store.transact(work if self.works else self._marker.proving(work))
        except Exception as error:  # noqa: BLE001 — it belongs to whoever asked for the work
            if storage_failed(error):
                self.failure.note(error)
            if not done.done():
                done.set_exception(error)
            return
        self._note_success()
        if not done.done():
            done.set_result(result)

    async def _commit(self, batch: list[Submission]) -> None:
        """Store ``batch``, however often it takes, until everyone in it has an answer."""
        self._number += 1
        self._in_doubt = False
        self._refused = {}
        pause = RETRY_FIRST_S
        while batch:
            started = self._clock()
            try:
                await self._attempt(batch)
            except Exception as error:  # noqa: BLE001 — the writer outlives every failure of the store
                self.failure.note(error)
                batch = await self._without_late(batch)
                if batch:
                    await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_LAST_S)
                continue
            COMMIT_SECONDS.observe(self._clock() - started)
            self._answer(batch)
            return

    async def _attempt(self, batch: list[Submission]) -> None:
        """Store ``batch`` in one transaction, or find it stored; ``_refused`` then says what of it is not."""
        whole = False
        try:
            await self._store.transact(lambda connection: self._store_batch(connection, batch))
            whole = True
        except Exception as error:
            if storage_failed(error):
                raise
            log.warning("a batch holds a record that the store refuses", error=words(error), submissions=len(batch))
        finally:
            self._ended(whole=whole)
        if not whole:
            try:
                await self._store.transact(lambda connection: self._isolate(connection, batch))
            finally:
                self._ended(whole=False)

    def _store_batch(self, connection: Connection, batch: list[Submission]) -> None:
        if self._marker.mark(connection, self._number):
            self._refused = {}  # no attempt before this one went through
            self._stations.store(
                connection, [record for records in unapplied(connection, self.applied, batch) for record in records]
            )
        self._in_doubt = True  # what follows is COMMIT

    def _isolate(self, connection: Connection, batch: list[Submission]) -> None:
        if self._marker.mark(connection, self._number):
            self._refused = isolated(connection, unapplied(connection, self.applied, batch), self._stations.store)
        self._in_doubt = True

    def _answer(self, batch: list[Submission]) -> None:
        self._note_success()
        BATCH_SIZE.observe(len(batch))
        for position, submission in enumerate(batch):
            self.queue_depth -= submission.weight
            refused = self._refused.get(position, ())
            if refused:
                REFUSED_RECORDS.inc(len(refused))
            if not submission.done.done():  # its caller may have gone
                submission.done.set_result(refused)

    def _note_success(self) -> None:
        COMMITS.inc()
        self.failure.end()

    async def _without_late(self, batch: list[Submission]) -> list[Submission]:
        """Tell those who have waited long enough, in the batch and behind it; the rest of the batch is returned.

        Nobody is told so while COMMIT may have gone through: then the batch is looked for, and waits if that fails too.
        """
        late = {s for s in (*batch, *self._queue) if self._closing or s.deadline <= self._clock()}
        if self._in_doubt and not late.isdisjoint(batch):
            if stored := await self._is_stored():
                self._answer(batch)
                return []
            if stored is None and not self._closing:
                late.difference_update(batch)
        for submission in late:
            self.queue_depth -= submission.weight
            told = submission.weight if submission.message is None else 0
            refused = Refused.STORE_FAILS.counted(told, self.failure.said)
            if not submission.done.done():
                submission.done.set_exception(refused)
        self._queue = deque(s for s in self._queue if s not in late)
        return [s for s in batch if s not in late]

    async def _is_stored(self) -> bool | None:
        """Whether the batch under way is in the store; None when that cannot be said now."""
        try:
            return await self._store.read(lambda connection: self._marker.is_marked(connection, self._number))
        except Exception as error:  # noqa: BLE001 — a store that fails to write may well fail to read
            self.failure.note(error)
            return None
