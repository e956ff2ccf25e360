"""Intake before the database: what is submitted is published to a stream, and acknowledged once the stream has stored it.

The same promise as the writer's (``writer.py``), with the stream in the place of the transaction:

* :meth:`Publisher.submit` returns only after the publish ack: the records are on the disks of most servers of the stream.
* It raises ``Overloaded`` when that cannot be promised. After a server that did not answer the records may be stored all the
  same; who sends them again is counted twice where they have no id of their own, and is at least once at most then.

Submissions wait in one bounded queue. Up to ``AT_ONCE`` messages are under way; whoever comes meanwhile shares the next one, of
some 64 KiB. What was not acknowledged is published again under the same id, by which the stream knows it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import structlog
from prometheus_client import Counter, Histogram

from collector.persist.failure import Failure
from collector.persist.jetstream import JetStream, StreamFails, StreamFull, TooLarge
from collector.persist.submission import Refused, weight_of
from collector.wire.errors import Overloaded
from collector.wire.messages import message, parcel
from collector.wire.records import CspIntake, Record, Refusal

MESSAGE_BYTES = 64 * 1024
FRAME_BYTES = 1024  # headers, and the frame around parcels
AT_ONCE = 4
ACK_TIMEOUT_S = 2.0
RETRY_FIRST_S, RETRY_LAST_S = 0.05, 1.0
PROBE_EVERY_S = 1.0

PUBLISHED = Counter("collector_stream_published", "Messages that the stream acknowledged.")
FAILED = Counter("collector_stream_failed_publishes", "Attempts at a message that the stream did not acknowledge.")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
PUBLISH_SECONDS = Histogram("collector_stream_publish_seconds", "Time to the acknowledgement of a message.", buckets=SECONDS)


log = structlog.get_logger(__name__)


class _Waiting:
    """A submission, in as many parcels as it takes."""

    def __init__(self, parcels: int, weight: int, deadline: float) -> None:
        self.left, self.weight, self.deadline = parcels, weight, deadline
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self) -> bool:
        """One more of its parcels is stored; whether that was the last."""
        self.left -= 1
        return self.left == 0 and not self.done.done()


class _Parcel(NamedTuple):
    content: bytes
    of: _Waiting


class Publisher:
    """Puts what is submitted into ``stream``.

    Args:
        stream: where to.
        queue_limit: reports and rows that may wait; one more is ``Overloaded``.
        submit_timeout: seconds that a submission may wait for a stream that does not acknowledge.
        clock: monotonic seconds.
    """

    def __init__(
        self, stream: JetStream, *, queue_limit: int, submit_timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._queue_limit = queue_limit
        self._submit_timeout = submit_timeout
        self._clock = clock
        self._queue: deque[_Parcel] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None
        self._closing = False
        self.queue_depth = 0
        self.failure = Failure(clock, of="stream", attempts=FAILED)

    @property
    def works(self) -> bool:
        """Whether the stream is there and acknowledged what it was given last."""
        return self._stream.is_connected and self.failure.since is None

    @property
    def has_room(self) -> bool:
        """Whether a submission would be taken now."""
        return not self._closing and self.queue_depth < self._queue_limit

    async def submit(self, records: Sequence[Record]) -> tuple[Refusal, ...]:
        """Return once ``records`` are in the stream: none is refused here, what the database would not take is counted there.

        Raises:
            Overloaded: the queue or the stream is full, the stream does not acknowledge, or the service is stopping.
        """
        weight = weight_of(records)
        if self._closing:
            raise Refused.STOPPING.counted(weight)
        if not self.has_room:
            raise Refused.QUEUE_FULL.counted(weight)
        contents = _parcels(records, self._stream.max_payload - FRAME_BYTES)
        waiting = _Waiting(len(contents), weight, self._clock() + self._submit_timeout)
        self._queue.extend(_Parcel(content, waiting) for content in contents)
        self.queue_depth += weight
        self._send()
        try:
            await waiting.done
        finally:
            self.queue_depth -= weight
        return ()

    async def close(self) -> None:
        """Take nothing more, and return when everybody has an answer."""
        self._closing = True
        if self._probe is not None:
            self._probe.cancel()
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _send(self) -> None:
        """Have messages under way for what waits, as many as may be."""
        while self._queue and len(self._under_way) < AT_ONCE:
            task = asyncio.create_task(self._publish(self._take()))
            self._under_way.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send()

    def _take(self) -> list[_Parcel]:
        taken: list[_Parcel] = []
        size, most = 0, min(MESSAGE_BYTES, self._stream.max_payload - FRAME_BYTES)
        while self._queue and (not taken or size + len(self._queue[0].content) <= most):
            taken.append(self._queue.popleft())
            size += len(taken[-1].content)
        return taken

    async def _publish(self, parcels: list[_Parcel]) -> None:
        """Publish ``parcels`` as one message, until it is acknowledged or the first of them has waited long enough."""
        parcels = [each for each in parcels if not each.of.done.done()]  # others of the same submission may have failed
        if not parcels:
            return
        content, id_ = message([each.content for each in parcels]), uuid.uuid4().hex
        deadline, pause = min(each.of.deadline for each in parcels), RETRY_FIRST_S
        began = self._clock()
        while True:
            try:
                await self._stream.publish(content, id_=id_, timeout=min(ACK_TIMEOUT_S, max(0.1, deadline - self._clock())))
            except TooLarge:  # of these alone: the stream works
                log.warning("NATS takes no message of this size, see its max_payload", bytes=len(content))
                self._refuse(parcels, Refused.TOO_LARGE)
                return
            except StreamFull as error:
                self.failure.note(error)
                self._refuse(parcels, Refused.STREAM_FULL)
                return
            except StreamFails as error:
                self.failure.note(error)
                if self._clock() + pause >= deadline:
                    self._refuse(parcels, Refused.STREAM_FAILS)
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_LAST_S)
                continue
            PUBLISH_SECONDS.observe(self._clock() - began)
            self._acknowledge(parcels)
            return

    def _acknowledge(self, parcels: list[_Parcel]) -> None:
        PUBLISHED.inc()
        self.failure.end()
        for each in parcels:
            if each.of.acknowledged():
                each.of.done.set_result(None)

    def _refuse(self, parcels: list[_Parcel], reason: Refused) -> None:
        if not self._closing and self.failure.since is not None and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._look_after())
        for each in parcels:
            if not each.of.done.done():
                refused: Overloaded = reason.counted(each.of.weight)
                each.of.done.set_exception(refused)

    async def _look_after(self) -> None:
        """See from time to time whether the stream works again: nobody sends to a service that is not ready."""
        while self.failure.since is not None:
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                await self._stream.publish(message([]), id_=uuid.uuid4().hex, timeout=ACK_TIMEOUT_S)
            except (StreamFails, StreamFull, TooLarge) as error:
                self.failure.note(error)
            else:
                self.failure.end()


def _parcels(records: Sequence[Record], limit: int) -> list[bytes]:
    """``records`` in parcels of at most ``limit`` bytes each, but for a record that cannot be divided."""
    content = parcel(records)
    if len(content) <= limit:
        return [content]
    if len(records) > 1:
        half = len(records) // 2
        return [*_parcels(records[:half], limit), *_parcels(records[half:], limit)]
    halves = _halves(records[0])
    return [content] if halves is None else [each for half in halves for each in _parcels([half], limit)]


def _halves(record: Record) -> tuple[Record, Record] | None:
    if not isinstance(record, CspIntake) or len(record.reports) < 2:  # noqa: PLR2004 — one cannot be divided
        return None
    half = len(record.reports) // 2
    first, rest = (
        msgspec.structs.replace(
            record, reports=record.reports[part], fingerprints=record.fingerprints[part], ages=record.ages[part]
        )
        for part in (slice(half), slice(half, None))
    )
    return first, msgspec.structs.replace(rest, drops=(), others=())
