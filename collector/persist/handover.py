"""Intake in a worker: what is submitted is handed to the main process, and acknowledged once that has stored it.

The same promise as the writer's (``writer.py``), one process further away: :meth:`Handover.submit` returns only after the main
process's own sink has made the records durable. Everything that waits goes into one frame, and one frame answers all of it;
``AT_ONCE`` are under way, so that one is on its way while another is being committed, and frames grow with the load.

When the main process has gone everybody who waits is ``Overloaded``. What was under way then may be stored all the same, as
after any answer that is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from collector.persist.submission import Refused, weight_of
from collector.wire.errors import Overloaded
from collector.wire.frames import LARGEST, Answered, Frame, brought
from collector.wire.messages import parcel
from collector.wire.records import Record, Refusal

AT_ONCE = 2
FRAME_BYTES = 1024 * 1024  # a single submission may be larger
FRAME_WEIGHT = 1_000  # reports and rows: a fifth of the writer's transaction, so that several fit into one


class _Waiting(NamedTuple):
    content: bytes  # a parcel
    weight: int
    done: asyncio.Future[tuple[Refusal, ...]]


class Handover:
    """Hands what is submitted to the main process.

    Args:
        send: sends a frame to it.
        queue_limit: reports and rows that may wait here; one more is ``Overloaded``. The main process has a limit of its own.
    """

    def __init__(self, send: Callable[[Frame], None], *, queue_limit: int) -> None:
        self._send = send
        self._queue_limit = queue_limit
        self._queue: deque[_Waiting] = deque()
        self._under_way: dict[int, list[_Waiting]] = {}
        self._number = 0
        self._due = False  # whether what waits will be sent within this turn of the loop
        self._gone = False
        self.queue_depth = 0

    @property
    def works(self) -> bool:
        """Whether the main process is there."""
        return not self._gone

    @property
    def has_room(self) -> bool:
        """Whether a submission would be taken now."""
        return not self._gone and self.queue_depth < self._queue_limit

    async def submit(self, records: Sequence[Record]) -> tuple[Refusal, ...]:
        """Return once the main process has made ``records`` durable, with the refusals of those its store would not take.

        Raises:
            Overloaded: too much waits here or there, its store fails, or it has gone.
        """
        weight = weight_of(records)
        if self._gone:
            raise Refused.STOPPING.counted(weight)
        content = parcel(records)
        if not self.has_room or len(content) > LARGEST - FRAME_BYTES:
            raise Refused.QUEUE_FULL.counted(weight)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(content, weight, loop.create_future())
        self._queue.append(waiting)
        self.queue_depth += weight
        if not self._due and len(self._under_way) < AT_ONCE:
            self._due = True
            loop.call_soon(self._bring)  # with all that arrives in this turn
        try:
            return await waiting.done
        finally:
            self.queue_depth -= weight

    def answered(self, answer: Answered) -> None:
        """Wake those whose batch is answered, and send the next."""
        batch = self._under_way.pop(answer.number, [])
        if answer.failed is not None:  # counted by the main process
            for waiting in batch:
                _fail(waiting, Overloaded(*answer.failed))
        else:
            refused: dict[int, list[Refusal]] = {}
            for each in answer.refused:
                refused.setdefault(each.position, []).append(Refusal(each.index, each.error))
            for position, waiting in enumerate(batch):
                if not waiting.done.done():  # its caller may have gone
                    waiting.done.set_result(tuple(refused.get(position, ())))
        self._bring()

    def end(self) -> None:
        """The main process has gone: nobody gets an answer from it any more."""
        self._gone = True
        waiting = [*(each for batch in self._under_way.values() for each in batch), *self._queue]
        self._under_way.clear()
        self._queue.clear()
        for each in waiting:
            _fail(each, Refused.STOPPING.counted(each.weight))

    def _bring(self) -> None:
        self._due = False
        while self._queue and len(self._under_way) < AT_ONCE:
            batch = self._take()
            self._number += 1
            self._under_way[self._number] = batch
            self._send(brought(self._number, [each.content for each in batch]))

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = weight = 0
        while self._queue and (
            not batch or (size + len(self._queue[0].content) <= FRAME_BYTES and weight + self._queue[0].weight <= FRAME_WEIGHT)
        ):
            batch.append(self._queue.popleft())
            size += len(batch[-1].content)
            weight += batch[-1].weight
        return batch


def _fail(waiting: _Waiting, error: Overloaded) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
