"""From the stream into the database: every message once, whoever dies between the two.

A message is acknowledged to the stream only after the transaction that holds what it brought, and in which its number is noted
(``applied.py``). It is delivered again when that was not heard of, to this collector or to another; then it is known by its
number, and only acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client import Counter, Gauge

from collector.persist.engine import Store, storage_failed
from collector.persist.jetstream import FAILURES, JetStream, Position, StreamFails, end, number_of
from collector.persist.writer import Writer
from collector.wire.errors import Overloaded
from collector.wire.messages import UnknownVersion, Unreadable, records_of
from collector.wire.records import Record

AT_ONCE = 50  # messages of one request
WAIT_S = 1.0  # for the first of them
PAUSE_S = 0.5
LATER_S = 5.0
LOOK_EVERY_S = 5.0

APPLIED = Counter("collector_stream_applied", "Messages of the stream that are committed to the database.")
UNREADABLE = Counter("collector_stream_unreadable", "Messages of the stream that no collector has written.")
PENDING = Gauge("collector_stream_pending", "Messages of the stream that are not applied yet, for all collectors.")
OLDEST = Gauge("collector_stream_oldest_seconds", "Age of the oldest message that is not applied yet; 0 when there is none.")

log = structlog.get_logger(__name__)


class Consumer:
    """Stores what ``stream`` delivers through ``writer``.

    Args:
        stream: what delivers.
        writer: the one that knows which messages are applied.
        store: its database, for reading.
        now: milliseconds since the epoch.
        forget: takes out of a record what must not be stored any more. Messages may be days old.
    """

    def __init__(
        self, stream: JetStream, writer: Writer, store: Store, *, now: Callable[[], int], forget: Callable[[Record], Record]
    ) -> None:
        self._stream, self._writer, self._store, self._now, self._forget = stream, writer, store, now, forget
        self._delivered: deque[Msg] = deque()
        self._in_hand: dict[int, Msg] = {}  # by number, as delivered last
        self._storing: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._looked = 0.0

    def start(self) -> None:
        """Begin as soon as the stream is there. Needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name="consumer")

    async def stop(self) -> None:
        """Ask for no more messages. What is in hand is stored as long as the writer takes it."""
        await end(self._task)

    async def finish(self) -> None:
        """Return when what is stored is acknowledged; after the writer has closed."""
        if self._storing:
            await asyncio.wait(self._storing)

    async def _run(self) -> None:
        await self._stream.ready.wait()
        while True:
            self._writer.applied = self._stream.applied
            try:
                await self._deliver()
            except (*FAILURES, StreamFails) as error:
                log.info("the stream delivers nothing", error=repr(error))
            except Exception as error:
                if not storage_failed(error):  # the consumer goes on all the same
                    log.exception("the consumer failed")
            await asyncio.sleep(PAUSE_S)

    async def _deliver(self) -> None:
        await self._look()  # before anything is asked of the database, which may be away
        assert self._writer.applied is not None  # noqa: S101 — the stream is there
        begin = await self._store.read(self._writer.applied.floor) + 1
        subscription = await self._stream.consumer(begin)
        try:
            while not await self._is_behind():
                await self._pull(subscription)
        finally:
            with suppress(*FAILURES):
                await subscription.unsubscribe()

    async def _pull(self, subscription: JetStreamContext.PullSubscription) -> None:
        writer = self._writer
        if not writer.has_room or not writer.works or writer.refusing:
            await asyncio.sleep(PAUSE_S)  # it stays where it is, and safe
        elif self._delivered:
            self._take(self._delivered.popleft())
            await asyncio.sleep(0)  # it is in the queue
        else:
            with suppress(TimeoutError):
                self._delivered.extend(await subscription.fetch(AT_ONCE, timeout=WAIT_S))

    def _take(self, message: Msg) -> None:
        number = number_of(message)
        known = number in self._in_hand  # delivered again, for it waits for long
        self._in_hand[number] = message
        if not known:
            task = asyncio.create_task(self._store_one(number))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)

    async def _store_one(self, number: int) -> None:
        try:
            await self._apply(number)
        except Overloaded:  # the store is full, or the service stops
            await self._later(number)
        except Exception:
            log.exception("a message could not be stored", number=number)
            await self._later(number)
        finally:
            self._in_hand.pop(number, None)

    async def _apply(self, number: int) -> None:
        try:
            records = [self._forget(record) for record in records_of(self._in_hand[number].data)]
        except UnknownVersion as error:
            log.warning("a message is for a newer collector, and waits for one", number=number, error=str(error))
            await self._later(number)
            return
        except Unreadable:
            UNREADABLE.inc()
            log.exception("a message cannot be read, and is passed over", number=number)
            records = []
        for refusal in await self._writer.submit(records, message=number):
            log.error("the store refuses a record of a message", number=number, error=refusal.error)
        APPLIED.inc()
        with suppress(*FAILURES):  # it comes again then, and is known
            await self._in_hand[number].ack()

    async def _later(self, number: int) -> None:
        try:
            await self._in_hand[number].nak(delay=LATER_S)
        except FAILURES:
            log.debug("a message comes again when its time is over", number=number)

    async def _is_behind(self) -> bool:
        """Look from time to time; whether the consumer begins anew, for the database is older than what was acknowledged."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return False
        position, applied = await self._look(), self._writer.applied
        if applied is None or not self._writer.works:
            return False
        first, done = position.first, position.acknowledged
        floor, missing = await self._store.read(lambda connection: applied.state(connection, first, done))
        if missing:
            log.warning("the database is older than what was acknowledged: the stream is read again", until=done)
            await self._stream.begin_anew()
        elif done > floor:
            await self._writer.write(lambda connection: applied.prune(connection, done))
        return missing

    async def _look(self) -> Position:
        """How far everybody is, which the metrics tell also while the database is away."""
        self._looked = time.monotonic()
        position = await self._stream.position()
        PENDING.set(position.pending)
        oldest = await self._stream.received_at(position.acknowledged + 1) if position.pending else None
        OLDEST.set(max(0.0, self._now() / 1000 - oldest) if oldest is not None else 0)
        return position
