"""Intake of the workers in the main process: their batches are submitted here, and answered once they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from collector.persist.sink import Sink
from collector.persist.submission import Refused, weight_of
from collector.wire.errors import Overloaded
from collector.wire.frames import Answered, Brought, RefusedRecord
from collector.wire.messages import records_in
from collector.wire.records import Record

log = structlog.get_logger(__name__)


class Reception:
    """Stores what workers bring.

    A batch is one submission: it is taken or refused as a whole, and a record that the store will not take is refused alone.

    Args:
        sink: makes it durable.
        storable: gives what may be stored of a record's user.
    """

    def __init__(self, sink: Sink, storable: Callable[[Record], Record]) -> None:
        self._sink = sink
        self._storable = storable
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, batch: Brought, answer: Callable[[Answered], None]) -> None:
        """Store ``batch``, and ``answer`` it then.

        Raises:
            Unreadable: it holds what is no parcel; nothing of it is stored.
        """
        parcels = [[self._storable(record) for record in records_in(each)] for each in batch.parcels]
        task = asyncio.create_task(self._stored(batch.number, parcels, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stored(self, number: int, parcels: list[list[Record]], answer: Callable[[Answered], None]) -> None:
        records = [record for some in parcels for record in some]
        try:
            refusals = await self._sink.submit(records)
        except Overloaded as error:
            answer(Answered(number, failed=(error.message, error.detail)))
            return
        except Exception:
            log.exception("a batch of a worker failed")
            refused = Refused.STORE_FAILS.counted(weight_of(records))
            answer(Answered(number, failed=(refused.message, refused.detail)))
            return
        if not refusals:
            answer(Answered(number))
            return
        places = [(position, index) for position, some in enumerate(parcels) for index in range(len(some))]
        answer(Answered(number, tuple(RefusedRecord(*places[each.index], each.error) for each in refusals)))
