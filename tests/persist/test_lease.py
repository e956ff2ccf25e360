"""One lease, several who want it: who leads, when that changes, and what a former leader can still write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection, func, insert, select, update

from collector.persist.engine import Store, open_store
from collector.persist.leadership import Leadership
from collector.persist.lease import Lease, NotLeader, lease
from collector.persist.tables import leases, projects

T = TypeVar("T")
TTL = 30.0


class Away:
    """A real store that can be out of reach."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.dialect = store.dialect
        self.away = False
        self.asked = 0

    async def transact(self, work: Callable[[Connection], T]) -> T:
        self.asked += 1
        if self.away:
            raise OSError("no route to host")
        return await self._store.transact(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._store.read(work)

    async def size_bytes(self) -> int:
        return await self._store.size_bytes()

    async def close(self) -> None:
        await self._store.close()


class Replica:
    """A leadership with a clock that stands still, and what it was told."""

    def __init__(self, store: Store, *, ttl: float = TTL, alone: bool = False) -> None:
        self.time = 1_000.0
        self.store = Away(store)
        self.told: list[str] = []
        self.lead = Leadership(self.store, self.store.transact, ttl=ttl, alone=alone, clock=lambda: self.time)

    async def look(self) -> bool:
        """Look once; whether it leads then."""
        await self.lead.look()
        return self.lead.leads

    async def join(self) -> bool:
        """Look for the first time, as a start does, but go on looking only when told to."""
        await self.lead.start(begun=lambda: self.told.append("begun"), ended=lambda: self.told.append("ended"))
        return self.lead.leads


@pytest.fixture
async def first(store: Store) -> AsyncIterator[Replica]:
    """The replica that comes first."""
    replica = Replica(store)
    yield replica
    await replica.lead.stop()


@pytest.fixture
async def second(migrated_url: str) -> AsyncIterator[Replica]:
    """Another replica, with connections of its own."""
    opened = open_store(migrated_url)
    replica = Replica(opened)
    yield replica
    await replica.lead.stop()
    await opened.close()


async def held(store: Store) -> Lease:
    """The lease as it stands."""
    found = await store.read(lambda connection: lease(connection, "jobs"))
    assert found is not None
    return found


async def run_out(store: Store) -> None:
    """Let the lease be over, as its time would."""
    await store.transact(lambda connection: connection.execute(update(leases).values(expires_at=1)))


def add_two(connection: Connection) -> None:
    """Work of two statements."""
    for name in ("half", "whole"):
        connection.execute(insert(projects).values(name=name, created_at=0))


def counted(connection: Connection) -> int:
    """What work has left."""
    return connection.scalar(select(func.count()).select_from(projects)) or 0


async def test_one_of_two_leads(first: Replica, second: Replica) -> None:
    """Who asks first has the lease; the other one sees whose it is."""
    assert await first.look()
    assert not await second.look()
    assert second.lead.seen is not None
    assert (second.lead.seen.holder, second.lead.seen.epoch, second.lead.seen.is_held) == (first.lead.holder, 1, True)


async def test_one_of_two_that_ask_at_once_leads(first: Replica, second: Replica) -> None:
    """However often they race for a lease that nobody has."""
    for _ in range(10):
        leading = await asyncio.gather(first.look(), second.look())
        assert sorted(leading) == [False, True]
        leader = first if leading[0] else second
        await leader.lead.stop()


async def test_the_leader_writes(first: Replica) -> None:
    """What it writes is committed, and what the work returns comes back."""
    await first.look()
    await first.lead.write(add_two)
    assert await first.lead.write(counted) == 2


async def test_a_follower_writes_nothing(first: Replica, second: Replica) -> None:
    """Nor is the database asked."""
    await first.look()
    await second.look()
    asked = second.store.asked
    with pytest.raises(NotLeader):
        await second.lead.write(add_two)
    assert second.store.asked == asked


async def test_renewing_keeps_the_epoch(first: Replica) -> None:
    """And puts the whole time before the lease again."""
    await first.look()
    await first.store.transact(lambda connection: connection.execute(update(leases).values(expires_at=1, renewed_at=0)))
    assert await first.look()
    found = await held(first.store)
    assert found.epoch == 1
    assert found.expires_at - found.renewed_at == pytest.approx(TTL * 1000, abs=1_000)  # its clock is asked once for each


async def test_times_are_of_the_databases_clock(first: Replica) -> None:
    """Which is right here, and in milliseconds; the replica's own clock of 1,000 s is not in them."""
    await first.look()
    found = await held(first.store)
    assert abs(found.renewed_at - time.time() * 1000) < 60_000
    assert found.renewed_at <= found.now < found.expires_at


async def test_a_lease_that_has_run_out_is_taken(first: Replica, second: Replica) -> None:
    """With the next epoch, by whoever asks."""
    await first.look()
    await run_out(first.store)
    assert await second.look()
    assert second.lead.epoch == 2


async def test_a_paused_leader_writes_nothing(first: Replica, second: Replica) -> None:
    """It still believes that it leads, for its clock stood still: the whole of its work is refused, and it is told."""
    await first.join()
    await run_out(first.store)
    await second.look()
    assert first.lead.leads
    with pytest.raises(NotLeader, match="epoch 1"):
        await first.lead.write(add_two)
    assert await first.store.read(counted) == 0
    assert (first.lead.leads, first.told) == (False, ["begun", "ended"])


async def test_a_paused_leader_finds_out_when_it_looks(first: Replica, second: Replica) -> None:
    """It ends its lead, and takes nothing from the one that leads now."""
    await first.join()
    await run_out(first.store)
    await second.look()
    assert not await first.look()
    assert not await first.look()
    assert first.told == ["begun", "ended"]
    assert (await held(first.store)).holder == second.lead.holder


async def test_work_that_fails_leaves_nothing(first: Replica) -> None:
    """What it raises comes through, and the lead goes on."""
    await first.look()

    def fail(connection: Connection) -> None:
        add_two(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await first.lead.write(fail)
    assert await first.store.read(counted) == 0
    assert first.lead.leads


async def test_a_leader_that_stops_lets_go(first: Replica, second: Replica) -> None:
    """The next one need not wait."""
    await first.join()
    await first.lead.stop()
    assert first.told == ["begun", "ended"]
    assert await second.look()
    assert second.lead.epoch == 2


async def test_stopping_takes_nothing_from_another(first: Replica, second: Replica) -> None:
    """A former leader that ends without having looked leaves the lease alone."""
    await first.look()
    await run_out(first.store)
    await second.look()
    await first.lead.stop()
    assert (await held(second.store)).is_held


async def test_a_lead_ends_by_the_own_clock(first: Replica) -> None:
    """Counted from before the question: no later than the database lets the lease run out."""
    await first.look()
    first.time += TTL - 0.001
    assert first.lead.leads
    first.time += 0.001
    assert not first.lead.leads
    with pytest.raises(NotLeader):
        await first.lead.write(add_two)


async def test_a_database_that_is_away_ends_the_lead(first: Replica) -> None:
    """Two looks in vain do no harm, then the time is over; when it is back there is a new epoch."""
    await first.join()
    first.store.away = True
    for _ in range(2):
        first.time += TTL / 3
        assert await first.look()
    first.time += TTL / 3
    assert not await first.look()
    assert first.told == ["begun", "ended"]
    first.store.away = False
    assert await first.look()
    assert (first.told, first.lead.epoch) == (["begun", "ended", "begun"], 2)


async def test_it_looks_in_time(first: Replica, second: Replica) -> None:
    """A leader at every third of the lease, each second after a failure, a follower each second, and none of them later."""
    await first.look()
    await second.look()
    assert (first.lead.look_again_s, second.lead.look_again_s) == (10, 1)
    first.store.away = True
    await first.look()
    assert first.lead.look_again_s == 1
    first.time += TTL - 0.25
    assert first.lead.look_again_s == 0.25


async def test_who_is_alone_waits_for_nobody(first: Replica, second: Replica) -> None:
    """The one process that a locked file can have takes over at once from the one that was killed."""
    await first.look()
    alone = Replica(second.store, alone=True)
    assert await alone.look()
    assert alone.lead.epoch == 2
    await alone.lead.stop()
