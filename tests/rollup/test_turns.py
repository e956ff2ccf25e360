"""One snapshot a turn, whoever leads; and what the other replicas show meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select

from collector.persist.engine import Store
from collector.persist.leadership import Write
from collector.persist.lease import NotLeader
from collector.persist.tables import snapshots as table
from collector.rollup.snapshot import Snapshots
from collector.rollup.turns import Turns
from collector.serve.collected import Chosen
from collector.serve.exporter import Exporter
from collector.wire.deployment import Source
from tests.records import NOW as SOME
from tests.rollup.test_sources import OTHER, OWN, polled, reports, telemetry_of

T = TypeVar("T")
INTERVAL_MS = 30_000
NOW = SOME // INTERVAL_MS * INTERVAL_MS + 7_000  # some seconds into a turn


class Replica:
    """One replica, with a clock that is set and an epoch that is given."""

    def __init__(self, store: Store, *, shown: Snapshots | None = None, write: Write | None = None) -> None:
        self.now = NOW
        self.epoch: int | None = None
        self.shown = shown or Snapshots()
        self.exporter = Exporter(Chosen())
        self.turns = Turns(
            store,
            write or store.transact,
            self.shown,
            OWN,
            self.exporter,
            now=lambda: self.now,
            interval_ms=INTERVAL_MS,
            epoch=lambda: self.epoch,
        )


async def built(store: Store) -> list[int]:
    """When snapshots of the collector's own deployment were built, in ms after ``NOW``."""

    def read(connection: Connection) -> list[int]:
        mine = select(table.c.collected_at).where(table.c.deployment == OWN).order_by(table.c.collected_at)
        return [at - NOW for at in connection.scalars(mine)]

    return await store.read(read)


async def test_a_follower_shows_what_the_leader_shows(store: Store) -> None:
    """Of every deployment, by whatever source; also which one answers when nobody names one."""
    leader, follower = Replica(store), Replica(store)
    leader.epoch = 1
    for bring in (telemetry_of, reports, lambda connection: polled(connection, ago=1)):
        await store.transact(bring)
        await leader.turns.build()
        await follower.turns.follow()
        assert follower.shown.of == leader.shown.of
        assert follower.shown.current == leader.shown.current
        leader.now += INTERVAL_MS

    assert set(follower.shown.of) == {OWN, OTHER}


async def test_a_follower_knows_which_source_was_said(store: Store) -> None:
    """The leader learns from the servers that it asks which deployment an option is about; the history is read by it."""
    leader, follower = Replica(store), Replica(store, shown=Snapshots(said={"configured": Source.REPORTS}))
    leader.epoch = 1
    leader.shown.said[OTHER] = Source.TELEMETRY
    await store.transact(telemetry_of)
    await leader.turns.build()
    await follower.turns.follow()

    known = {deployment: follower.shown.source_of(deployment) for deployment in (OTHER, "configured", OWN)}
    assert known == {OTHER: Source.TELEMETRY, "configured": Source.REPORTS, OWN: None}


async def test_what_a_new_leader_knows_itself_stands(store: Store) -> None:
    """Another source than the last leader said is its to say from now on."""
    old, new = Replica(store), Replica(store)
    old.epoch, new.epoch = 1, 2
    await store.transact(telemetry_of)
    old.shown.said[OTHER] = Source.REPORTS
    await old.turns.build()
    new.shown.said[OTHER] = Source.TELEMETRY
    await new.turns.build()
    assert new.shown.source_of(OTHER) is Source.TELEMETRY
    new.now += INTERVAL_MS
    await new.turns.build()
    assert new.shown.of[OTHER].source is Source.TELEMETRY


async def test_before_the_first_snapshot_a_follower_shows_none(store: Store) -> None:
    """And says so, as a leader does that is still building it."""
    follower = Replica(store)
    await follower.turns.follow()
    assert (follower.shown.current, dict(follower.shown.of)) == (None, {})


async def test_the_next_leader_builds_none_in_a_turn_that_has_one(store: Store) -> None:
    """It shows that one, and builds its own in the next turn."""
    old, new = Replica(store), Replica(store)
    old.epoch, new.epoch = 1, 2
    await old.turns.build()
    new.now += 20_000
    await new.turns.build()
    assert await built(store) == [0]
    assert new.shown.current == old.shown.current

    new.now += 3_000
    await new.turns.build()
    assert await built(store) == [0, 23_000]


async def test_the_next_leader_builds_what_the_last_one_missed(store: Store) -> None:
    """However late in the turn."""
    old, new = Replica(store), Replica(store)
    old.epoch, new.epoch = 1, 2
    await old.turns.build()
    new.now += INTERVAL_MS + 22_000
    await new.turns.build()
    assert await built(store) == [0, INTERVAL_MS + 22_000]


async def test_a_clock_that_is_ahead_makes_no_second_snapshot(store: Store) -> None:
    """The last leader's clock was already in the next turn."""
    old, new = Replica(store), Replica(store)
    old.epoch, new.epoch = 1, 2
    old.now += INTERVAL_MS
    await old.turns.build()
    await new.turns.build()
    assert await built(store) == [INTERVAL_MS]


async def test_a_leader_does_not_follow(store: Store) -> None:
    """What it has built itself is the newest."""
    leader, other = Replica(store), Replica(store)
    leader.epoch = other.epoch = 1
    await leader.turns.build()
    other.now += INTERVAL_MS
    await other.turns.build()
    shown = leader.shown.current
    await leader.turns.follow()
    assert leader.shown.current is shown


async def test_a_refused_snapshot_is_not_shown(store: Store) -> None:
    """The former leader goes on showing the last one, until it has read what the new one shows."""
    old, new = Replica(store), Replica(store)
    old.epoch = 1
    await old.turns.build()
    before = old.shown.current

    async def refuse(_work: Callable[[Connection], T]) -> T:
        raise NotLeader("epoch 1 is over")

    late = Replica(store, write=refuse)
    late.shown.swap(old.shown.of.values(), OWN)
    late.epoch, late.now = 1, NOW + INTERVAL_MS
    with pytest.raises(NotLeader):
        await late.turns.build()
    assert late.shown.current == before
    assert await built(store) == [0]

    new.epoch, new.now = 2, NOW + INTERVAL_MS + 5_000
    await new.turns.build()
    late.epoch = None
    await late.turns.follow()
    assert late.shown.current == new.shown.current


class Between:
    """A real store that lets something happen between a question and its answer."""

    def __init__(self, store: Store, happens: Callable[[], Awaitable[None]]) -> None:
        self.dialect = store.dialect
        self.transact, self.size_bytes, self.close = store.transact, store.size_bytes, store.close
        self._store, self._happens = store, happens

    async def read(self, work: Callable[[Connection], T]) -> T:
        answer = await self._store.read(work)
        await self._happens()
        return answer


async def test_what_is_built_during_a_look_is_newer(store: Store) -> None:
    """A replica that begins to lead while it reads what was shown keeps what it built meanwhile."""
    old, new = Replica(store), Replica(store)
    old.epoch = 1
    await old.turns.build()
    new.epoch, new.now = 2, NOW + INTERVAL_MS
    looking = Replica(Between(store, new.turns.build), shown=new.shown)
    await looking.turns.follow()

    assert new.shown.current is not None
    assert new.shown.current.collected_at == NOW + INTERVAL_MS
