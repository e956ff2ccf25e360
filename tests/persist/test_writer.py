"""The writer keeps its promise at every stage at which a commit can fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import sqlalchemy
from prometheus_client import REGISTRY
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import OperationalError

from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.submission import Refused
from collector.persist.tables import csp_minutes, csp_samples, csp_totals, drop_totals, projects, violations, writer_marks
from collector.persist.writer import Writer
from collector.wire.errors import Overloaded
from collector.wire.records import CspIntake, CspReport, DropReason, Sample

T = TypeVar("T")
RECEIVED = 1_768_300_000_000
STAGES = ("begin", "work", "commit", "answer")


class FaultyStore:
    """A real store that fails where it is told to, once for each of ``faults``, and then works."""

    def __init__(self, store: Store, faults: Iterable[str]) -> None:
        self._store = store
        self.dialect = store.dialect
        self.faults = list(faults)
        self.transactions = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        await self.gate.wait()
        self.transactions += 1
        fault = self.faults.pop(0) if self.faults else ""
        if self.dialect == "sqlite" and fault == "answer":
            fault = "commit"  # there is no connection on which an answer could be lost
        failure = OperationalError(f"fault at {fault}", None, Exception(f"fault at {fault}"))
        if fault == "begin":
            raise failure

        def failing(connection: Connection) -> T:
            if fault == "work":
                connection.execute(insert(projects), [{"name": "half done", "created_at": 0}])
                raise failure
            result = work(connection)
            if fault == "commit":
                raise failure
            return result

        result = await self._store.transact(failing)
        if fault == "answer":
            raise failure  # committed, but the connection broke before anybody heard of it
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._store.read(work)

    async def size_bytes(self) -> int:
        return await self._store.size_bytes()

    async def close(self) -> None:
        await self._store.close()


@asynccontextmanager
async def running(
    store: Store,
    faults: Iterable[str] = (),
    *,
    queue_limit: int = 1_000,
    submit_timeout: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[tuple[Writer, FaultyStore]]:
    await store.transact(lambda connection: connection.execute(insert(projects), [{"name": "shop", "created_at": 0}]))
    faulty, rows = FaultyStore(store, faults), CspRows()
    bounds = {"queue_limit": queue_limit, "submit_timeout": submit_timeout}
    writer = Writer(faulty, {CspIntake: rows.store}, **bounds, ended=rows.ended, clock=clock)  # type: ignore[arg-type]
    writer.start()
    yield writer, faulty
    faulty.gate.set()
    await writer.close()


def intake(number: int = 1, *, reports: int = 1, blocked: str = "https://cdn.example") -> CspIntake:
    report = CspReport(
        effective_directive="script-src-elem",
        blocked_kind="origin",
        blocked_origin=blocked,
        blocked_key=blocked,
        document_origin="https://shop.example",
        disposition="enforce",
        noise_class=None,
        noise_rule=None,
        place="",
        sample=Sample(document_uri="https://shop.example/cart"),
    )
    return CspIntake(1, "here", RECEIVED, (report,) * reports, (f"{number:032x}",) * reports)


async def counted(store: Store) -> int:
    """Reports in the violations; the buckets and the running sums must say the same."""

    def sums(connection: Connection) -> tuple[int, int, int]:
        return (
            connection.scalar(select(func.coalesce(func.sum(violations.c.count), 0))) or 0,
            connection.scalar(select(func.coalesce(func.sum(csp_minutes.c.enforce), 0))) or 0,
            connection.scalar(select(func.coalesce(func.sum(csp_totals.c.count), 0))) or 0,
        )

    by_violation, by_minute, running_sum = await store.read(sums)
    assert by_violation == by_minute == running_sum
    return int(by_violation)


async def test_an_answer_means_committed(store: Store) -> None:
    """When submit returns, another connection finds the report."""
    async with running(store) as (writer, _):
        assert await writer.submit([intake()]) == ()
        assert await counted(store) == 1


async def test_what_arrives_together_is_committed_together(store: Store) -> None:
    """Everything that waits while a commit runs goes into the next transaction, in one."""
    async with running(store) as (writer, faulty):
        faulty.gate.clear()
        waiting = [asyncio.create_task(writer.submit([intake(n % 3)])) for n in range(50)]
        await asyncio.sleep(0)
        faulty.gate.set()
        await asyncio.gather(*waiting)

        assert await counted(store) == 50
        assert faulty.transactions <= 2


@pytest.mark.parametrize("stage", STAGES)
async def test_a_failed_commit_is_tried_again_and_counts_once(store: Store, stage: str) -> None:
    """Whatever stage a transaction fails at, the batch is stored exactly once and everybody is answered."""
    async with running(store, [stage]) as (writer, faulty):
        assert not any(await asyncio.gather(writer.submit([intake(1)]), writer.submit([intake(2)])))

        assert await counted(store) == 2
        assert faulty.transactions == 2
        assert await store.read(lambda c: c.scalar(select(func.count()).select_from(projects))) == 1
        assert await store.read(lambda c: c.scalar(select(func.count()).select_from(csp_samples))) == 2


async def test_a_long_failure_keeps_order_and_loses_nothing(store: Store) -> None:
    """Failures at every stage in a row only delay: what came meanwhile is stored after what was first."""
    async with running(store, STAGES) as (writer, _):
        await asyncio.gather(*(writer.submit([intake(n)]) for n in range(10)))

        assert await counted(store) == 10
        assert writer.failure.since is None


async def test_who_waits_too_long_is_told_and_not_stored(store: Store) -> None:
    """Past the timeout the caller gets Overloaded, and its report is not stored by a later attempt either."""
    async with running(store, ["begin"], submit_timeout=0.0) as (writer, _):
        with pytest.raises(Overloaded):
            await writer.submit([intake(1)])
        await writer.submit([intake(2)])

        assert await store.read(lambda c: c.scalars(select(violations.c.fingerprint)).all()) == [f"{2:032x}"]


async def test_a_commit_in_doubt_is_settled_before_anybody_is_refused(store: Store) -> None:
    """When the answer to COMMIT is lost and the time is up, who is stored is told so, not that nothing was stored."""
    async with running(store, ["answer"], submit_timeout=0.0) as (writer, _):
        try:
            told = await writer.submit([intake(1)]) == ()
        except Overloaded:
            told = False

        assert await counted(store) == int(told)
        assert told == (store.dialect == "postgresql")


async def test_any_commit_ends_a_failure(store: Store) -> None:
    """After a batch that was given up, the next write of any kind that succeeds says that the store works."""
    async with running(store, ["begin"], submit_timeout=0.0) as (writer, _):
        with pytest.raises(Overloaded):
            await writer.submit([intake(1)])
        assert writer.failure.since is not None
        await writer.write(lambda connection: connection.execute(select(projects.c.name)))

        assert writer.failure.since is None


async def test_a_failure_ends_although_nobody_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer itself looks whether the store works again, or a service that gets no reports would never be ready."""
    monkeypatch.setattr("collector.persist.writer.PROBE_EVERY_S", 0.01)
    async with running(store, ["begin", "begin"], submit_timeout=0.0) as (writer, faulty):
        with pytest.raises(Overloaded):
            await writer.submit([intake(1)])
        async with asyncio.timeout(60):
            while writer.failure.since is not None:
                assert await counted(store) == 0

        assert faulty.transactions == 3
        await writer.submit([intake(2)])
        assert await counted(store) == 1


async def test_other_writes_notice_a_failure(store: Store) -> None:
    """A store that fails a snapshot or a purge is seen to fail, also when no report comes."""
    async with running(store, ["begin"]) as (writer, _):
        with pytest.raises(OperationalError):
            await writer.write(lambda connection: connection.execute(select(projects.c.name)))

        assert writer.failure.since is not None


async def test_a_violation_that_was_purged_is_made_anew(store: Store) -> None:
    """Retention may delete a violation that this process has counted: its next report makes it again, counted once."""
    async with running(store) as (writer, _):
        await writer.submit([intake(1), intake(2)])
        await store.transact(
            lambda connection: connection.execute(delete(violations).where(violations.c.fingerprint == f"{1:032x}"))
        )
        await writer.submit([intake(1), intake(2)])

        rows = await store.read(lambda c: c.execute(select(violations.c.fingerprint, violations.c.count)).all())
        assert {row[0]: row[1] for row in rows} == {f"{1:032x}": 1, f"{2:032x}": 2}


async def test_a_full_queue_refuses_at_once(store: Store) -> None:
    """One report more than the queue holds is Overloaded, nothing of it is stored, and what was taken is."""
    async with running(store, queue_limit=5) as (writer, faulty):
        faulty.gate.clear()
        taken = [asyncio.create_task(writer.submit([intake(n)])) for n in range(5)]
        await asyncio.sleep(0)
        assert not writer.has_room
        with pytest.raises(Overloaded, match="waiting"):
            await writer.submit([intake(9)])
        faulty.gate.set()
        await asyncio.gather(*taken)

        assert await counted(store) == 5


async def test_what_is_refused_is_counted_by_its_reason(store: Store) -> None:
    """Each report that nobody stored is counted once: by a full queue, a failing store, a full store, or the end of service."""
    before = {refused: refusals(refused) for refused in Refused}
    async with running(store, ["begin"], submit_timeout=0.0, queue_limit=5) as (writer, faulty):
        faulty.gate.clear()
        late = asyncio.create_task(writer.submit([intake(reports=5)]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="waiting"):
            await writer.submit([intake(reports=3)])
        faulty.gate.set()
        with pytest.raises(Overloaded, match="could not be stored"):
            await late
        writer.refusing = True
        with pytest.raises(Overloaded, match="full"):
            await writer.submit([intake(reports=2)])
        await writer.close()
        with pytest.raises(Overloaded, match="stopping"):
            await writer.submit([intake()])

    counts = {Refused.STORE_FAILS: 5, Refused.QUEUE_FULL: 3, Refused.STORE_FULL: 2, Refused.STOPPING: 1}
    assert {refused: refusals(refused) - before[refused] for refused in counts} == counts


def refusals(refused: Refused) -> float:
    """How many reports of this process were refused so."""
    return REGISTRY.get_sample_value("collector_refused_reports_total", {"reason": refused.reason}) or 0.0


async def test_a_body_larger_than_the_queue_is_taken_under_traffic(store: Store) -> None:
    """A body heavier than the whole queue is stored although others wait: it may overshoot, but not starve."""
    async with running(store, queue_limit=5) as (writer, faulty):
        faulty.gate.clear()
        first = asyncio.create_task(writer.submit([intake()]))
        await asyncio.sleep(0)
        large = asyncio.create_task(writer.submit([intake(reports=100)]))
        await asyncio.sleep(0)
        faulty.gate.set()
        await asyncio.gather(first, large)

        assert await counted(store) == 101


async def test_a_poisoned_record_is_named_and_takes_nothing_down(store: Store) -> None:
    """A record that no database can store is refused by its index; its neighbours and the rest of the batch commit."""
    poisoned = intake(66, blocked="https://\ud800.example")
    async with running(store) as (writer, faulty):
        faulty.gate.clear()
        mixed = asyncio.create_task(writer.submit([intake(1), poisoned, intake(2)]))
        clean = asyncio.create_task(writer.submit([intake(3)]))
        await asyncio.sleep(0)
        faulty.gate.set()
        refusals = await mixed

        assert [refusal.index for refusal in refusals] == [1]
        assert refusals[0].error
        assert await clean == ()
        assert await counted(store) == 3


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("submit_timeout", [0.0, 60.0])
async def test_a_poisoned_record_is_named_also_after_a_failure(store: Store, stage: str, submit_timeout: float) -> None:
    """When storing around it fails at any stage, the record is still refused, and whoever is told "stored" is."""
    poisoned = intake(66, blocked="https://\ud800.example")
    async with running(store, ["", stage], submit_timeout=submit_timeout) as (writer, _):
        try:
            told = [refusal.index for refusal in await writer.submit([intake(1), poisoned])] == [1]
        except Overloaded:
            told = False

        assert await counted(store) == int(told)
        assert told == (submit_timeout > 0 or (store.dialect == "postgresql" and stage == "answer"))


async def test_closing_drains_the_queue(store: Store) -> None:
    """What was submitted before the stop is stored and answered; what comes later is refused."""
    async with running(store) as (writer, faulty):
        faulty.gate.clear()
        waiting = [asyncio.create_task(writer.submit([intake(n)])) for n in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="stopping"):
            await writer.submit([intake(99)])
        faulty.gate.set()
        await asyncio.gather(closing, *waiting)

        assert await counted(store) == 20


async def test_a_caller_that_left_does_not_stop_the_others(store: Store) -> None:
    """A cancelled request's report may be stored or not, but everybody else in its batch is."""
    async with running(store) as (writer, faulty):
        faulty.gate.clear()
        gone = asyncio.create_task(writer.submit([intake(1)]))
        stays = asyncio.create_task(writer.submit([intake(2)]))
        await asyncio.sleep(0)
        gone.cancel()
        faulty.gate.set()

        assert await stays == ()
        assert writer.queue_depth == 0


async def test_other_writes_go_between_batches_and_own_their_errors(store: Store) -> None:
    """A piece of work that fails raises to whoever asked, is rolled back, and the writer goes on."""

    def half(connection: Connection) -> None:
        connection.execute(insert(projects), [{"name": "half done", "created_at": 0}])
        raise ZeroDivisionError

    async with running(store) as (writer, _):
        with pytest.raises(ZeroDivisionError):
            await writer.write(half)
        names = await writer.write(lambda connection: connection.scalars(select(projects.c.name)).all())

        assert names == ["shop"]
        await writer.submit([intake()])
        assert await counted(store) == 1


async def test_new_violations_are_refused_before_counts(store: Store) -> None:
    """In a full store known violations still count, and reports of new ones are counted as dropped."""
    await store.transact(lambda connection: connection.execute(insert(projects), [{"name": "shop", "created_at": 0}]))
    rows = CspRows()
    await store.transact(lambda connection: rows.store(connection, [intake(1)]))
    rows.refuse_new = True
    await store.transact(lambda connection: rows.store(connection, [intake(1), intake(2, reports=3)]))

    assert await counted(store) == 2
    dropped = await store.read(lambda connection: connection.execute(select(drop_totals.c.reason, drop_totals.c.count)).all())
    assert [tuple(row) for row in dropped] == [(DropReason.STORE_FULL.value, 3)]


async def test_marks_do_not_grow(store: Store) -> None:
    """One row a writing process notes what it has committed, however many batches there were."""
    async with running(store) as (writer, _):
        for number in range(5):
            await writer.submit([intake(number)])

        rows = await store.read(lambda connection: connection.execute(sqlalchemy.select(writer_marks.c.batch)).all())
        assert [row.batch for row in rows] == ([5] if store.dialect == "postgresql" else [])


async def test_the_age_of_the_oldest_is_known(store: Store) -> None:
    """It grows while a commit is under way, is that of the first however many follow, and is 0 when all have their answer."""
    at = 100.0
    async with running(store, submit_timeout=5.0, clock=lambda: at) as (writer, faulty):
        faulty.gate.clear()
        first = asyncio.create_task(writer.submit([intake(1)]))
        await asyncio.sleep(0)
        at = 103.0
        second = asyncio.create_task(writer.submit([intake(2)]))
        await asyncio.sleep(0)
        at = 104.0
        waited = writer.oldest_s
        faulty.gate.set()
        await asyncio.gather(first, second)

        assert (waited, writer.oldest_s) == (4.0, 0.0)
