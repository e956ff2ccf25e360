"""From a worker to the main process's writer and back, over a real socket and on a real store."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import pytest

from collector.persist.engine import Store
from collector.persist.handover import Handover
from collector.persist.link import Link
from collector.persist.reception import Reception
from collector.wire.errors import Overloaded
from collector.wire.frames import Answered, Brought, Frame, framed
from tests.persist.test_writer import FaultyStore, counted, intake, running


@dataclass
class Ends:
    """A worker's end and the main process's, in one loop."""

    handover: Handover
    worker: Link
    main: Link
    store: FaultyStore
    batches: list[int]
    ended: asyncio.Event


@asynccontextmanager
async def joined(store: Store, *, queue_limit: int = 1_000, taken: int = 1_000) -> AsyncIterator[Ends]:
    """Both ends; ``queue_limit`` is the worker's, ``taken`` the writer's."""
    batches: list[int] = []
    ended = asyncio.Event()

    def of_main(frame: Frame) -> None:
        assert isinstance(frame, Answered)
        handover.answered(frame)

    def of_worker(frame: Frame) -> None:
        assert isinstance(frame, Brought)
        batches.append(len(frame.parcels))
        reception.take(frame, main.send)

    def gone() -> None:
        handover.end()

    async with running(store, queue_limit=taken) as (writer, faulty):
        reception = Reception(writer, lambda record: record)
        worker = Link(of_main, gone)
        main = Link(of_worker, ended.set)
        handover = Handover(worker.send, queue_limit=queue_limit)
        ours, theirs = socket.socketpair()
        await worker.over(ours)
        await main.over(theirs)
        yield Ends(handover, worker, main, faulty, batches, ended)
        worker.close()
        await ended.wait()


async def test_what_is_submitted_is_committed(store: Store) -> None:
    """Submissions return once they are in the database, and what waits together comes in one frame."""
    async with joined(store) as ends:
        answers = await asyncio.gather(*(ends.handover.submit([intake(number)]) for number in range(50)))
        assert answers == [()] * 50
        assert await counted(store) == 50
        assert ends.batches == [50]
        assert ends.handover.queue_depth == 0


async def test_frames_grow_while_one_is_committed(store: Store) -> None:
    """Two frames are under way; everything else that comes meanwhile waits for the next."""
    async with joined(store) as ends:
        ends.store.gate.clear()
        waiting = []
        for number in range(10):
            waiting.append(asyncio.create_task(ends.handover.submit([intake(number)])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        ends.store.gate.set()
        await asyncio.gather(*waiting)
        assert ends.batches == [1, 1, 8]
        assert await counted(store) == 10


async def test_a_record_that_the_store_refuses(store: Store) -> None:
    """It is refused to whoever brought it, by its place; all others of the frame are stored."""
    async with joined(store) as ends:
        faulty = msgspec.structs.replace(intake(2), project_id=99)  # there is no such project
        good, mixed = await asyncio.gather(
            ends.handover.submit([intake(1)]), ends.handover.submit([intake(3), faulty, intake(4)])
        )
        assert good == ()
        assert [refusal.index for refusal in mixed] == [1]
        assert await counted(store) == 3


async def test_what_the_main_process_does_not_take(store: Store) -> None:
    """Its queue is full: those who brought the frame are told so, in its words, and nothing of it is stored."""
    async with joined(store, taken=1) as ends:
        ends.store.gate.clear()
        first = asyncio.create_task(ends.handover.submit([intake(1)]))
        while not ends.batches:  # noqa: ASYNC110 — the other end has no event for it
            await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="Too much is waiting"):
            await ends.handover.submit([intake(2)])
        ends.store.gate.set()
        assert await first == ()
        assert await counted(store) == 1


async def test_a_worker_has_a_limit_of_its_own(store: Store) -> None:
    """What waits in it is bounded, whatever the main process would take."""
    async with joined(store, queue_limit=3) as ends:
        ends.store.gate.clear()
        waiting = [asyncio.create_task(ends.handover.submit([intake(number)])) for number in range(3)]
        await asyncio.sleep(0)
        assert not ends.handover.has_room
        with pytest.raises(Overloaded, match="Too much is waiting"):
            await ends.handover.submit([intake(9)])
        ends.store.gate.set()
        await asyncio.gather(*waiting)


async def test_the_main_process_goes(store: Store) -> None:
    """Whoever waits then, and whoever comes later, is Overloaded."""
    async with joined(store) as ends:
        ends.store.gate.clear()
        waiting = asyncio.create_task(ends.handover.submit([intake(1)]))
        while not ends.batches:  # noqa: ASYNC110 — the other end has no event for it
            await asyncio.sleep(0)
        ends.main.cut()
        with pytest.raises(Overloaded, match="stopping"):
            await waiting
        with pytest.raises(Overloaded, match="stopping"):
            await ends.handover.submit([intake(2)])
        assert not ends.handover.works


@pytest.mark.parametrize("sent", [framed(b"\x00"), b"\xff\xff\xff\xff"], ids=["wrong", "oversized"])
async def test_what_is_no_frame_ends_the_connection(store: Store, sent: bytes) -> None:
    """Whoever sends it is cut off: there is no telling what would come next."""
    async with joined(store) as ends:
        ends.worker.write(sent)
        async with asyncio.timeout(60):
            await ends.ended.wait()
