"""One scrape is of one moment, whatever happens while it is read, rendered, stored and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from collector.normalize.noise import RULES
from collector.persist.engine import Store
from collector.persist.leadership import Write
from collector.persist.shown import forget_metrics
from collector.rollup.moment import Asked
from collector.rollup.snapshot import Snapshots
from collector.rollup.turns import Turns
from collector.serve.coder_families import Wanted
from collector.serve.collected import Chosen
from collector.serve.exporter import Exporter
from collector.serve.exposition import Format
from tests.records import DEPLOYMENT, NOW
from tests.serve.growing import GROWING, Growing, GrowingStore, numbers
from tests.serve.state import rename

T = TypeVar("T")


class Replica:
    """A collector's snapshots and metrics; it leads, unless it has no epoch."""

    def __init__(self, store: Store, *, epoch: int | None = 1, write: Write | None = None) -> None:
        self.now = NOW
        self.snapshots = Snapshots()
        self.exporter = Exporter(Chosen(rules=RULES, wanted=Wanted(agent_stats=True, by=())))
        writing = write or store.transact
        self.turns = Turns(
            store,
            writing,
            self.snapshots,
            DEPLOYMENT,
            self.exporter,
            asked=Asked(coder=True),
            now=lambda: self.now,
            interval_ms=30_000,
            epoch=lambda: epoch,
        )

    async def scraped(self, format_: Format = Format.TEXT) -> str:
        """``/metrics/deployment``."""
        return (await self.exporter.answer(self.now, None, format_, compressed=False)).decode()

    async def numbers(self) -> set[float]:
        """How many there are of everything: one number, if it is all of one moment."""
        return set(numbers(await self.scraped()).values())


@pytest.fixture
async def growing(store: Store) -> Growing:
    """A deployment with two of everything."""
    growing = Growing()
    for _ in range(2):
        await store.transact(growing.grow)
    return growing


async def test_no_scrape_mixes_two_states(store: Store, growing: Growing) -> None:
    """Everything changes after every single statement of a reading, and a scrape says of all the same number."""
    changing = GrowingStore(store, growing)
    leader = Replica(changing)
    await leader.turns.refresh()
    assert changing.grown > len(GROWING)  # that was after each statement
    assert await leader.numbers() == {2}
    assert growing.number == 2 + changing.grown


async def test_a_follower_tells_what_the_leader_has_read(store: Store, growing: Growing) -> None:
    """Byte for byte, in both formats, whatever was stored since, and although all changes while it looks."""
    leader, follower = Replica(store), Replica(GrowingStore(store, growing), epoch=None)
    for _ in range(2):
        await leader.turns.refresh()
        await store.transact(growing.grow)
        await follower.turns.follow()
        for format_ in Format:
            assert await follower.scraped(format_) == await leader.scraped(format_)
        assert len(await follower.numbers()) == 1
        assert follower.snapshots.of == leader.snapshots.of
        leader.now = follower.now = leader.now + 1_000


async def test_a_follower_fetches_them_once(store: Store, growing: Growing) -> None:
    """It looks six times a turn; what it has, which may be megabytes, is not fetched again."""
    leader, follower = Replica(store), Replica(store, epoch=None)
    await leader.turns.refresh()
    await follower.turns.follow()
    rendered = follower.exporter.rendered
    await store.transact(growing.grow)
    await follower.turns.follow()
    assert follower.exporter.rendered is rendered is not None


async def test_the_next_leader_tells_them_at_once(store: Store, growing: Growing) -> None:
    """Who begins to lead in a turn that has its snapshot shows what was read with that; so does a service that restarts."""
    leader, next_one = Replica(store), Replica(store, epoch=2)
    await leader.turns.build()
    await store.transact(growing.grow)
    await next_one.turns.build()
    assert await next_one.scraped() == await leader.scraped()
    next_one.now += 30_000
    await next_one.turns.build()
    assert await next_one.numbers() == {growing.number}


async def test_snapshots_without_metrics_are_built_anew(store: Store, growing: Growing) -> None:
    """As a release before this one has left them: nobody waits for the next turn, which may be an hour away."""
    leader, next_one = Replica(store), Replica(store, epoch=2)
    await leader.turns.build()
    await store.transact(forget_metrics)
    await next_one.turns.build()
    assert await next_one.numbers() == {growing.number}


class Held:
    """Writes to ``store`` that are done when they may be."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def write(self, work: Callable[[Connection], T]) -> T:
        self.asked.set()
        await self.may.wait()
        return await self._store.transact(work)


async def test_they_change_with_the_snapshot(store: Store, growing: Growing) -> None:
    """While what was read is being stored a scrape and the API both tell the moment before, and then both the new one."""
    held = Held(store)
    leader = Replica(store, write=held.write)
    held.may.set()
    await leader.turns.refresh()
    first = leader.snapshots.current

    await store.transact(growing.grow)
    held.asked.clear()
    held.may.clear()
    building = asyncio.create_task(leader.turns.refresh())
    await held.asked.wait()
    assert (await leader.numbers(), leader.snapshots.current) == ({2}, first)

    held.may.set()
    await building
    assert await leader.numbers() == {3}
    assert leader.snapshots.current is not None
    assert leader.snapshots.current.agents.rx_bytes == 3


@pytest.mark.parametrize(
    "part", ["csp_totals", "violations", "aibridge_tool_usages", "workspace_build_totals", "shown_snapshots", "history_minutes"]
)
async def test_a_part_that_fails_leaves_all_as_it_was(store: Store, growing: Growing, part: str) -> None:
    """Whichever cannot be read or written: not one of the numbers moves, nor does what the API tells; then all of them do."""
    leader = Replica(store)
    await leader.turns.refresh()
    rendered, snapshots = leader.exporter.rendered, leader.snapshots.of
    await store.transact(growing.grow)
    leader.now += 1_000

    await rename(store, part, "away")
    with pytest.raises(DBAPIError):
        await leader.turns.refresh()
    assert leader.exporter.rendered is rendered
    assert await leader.numbers() == {2}
    assert leader.snapshots.of is snapshots

    await rename(store, "away", part)
    await leader.turns.refresh()
    assert await leader.numbers() == {3}


async def test_metrics_that_are_none_leave_all_as_it_was(store: Store, growing: Growing) -> None:
    """A follower that finds something else in their place goes on with what it has."""
    leader, follower = Replica(store), Replica(store, epoch=None)
    await leader.turns.refresh()
    await follower.turns.follow()
    before, snapshots = await follower.scraped(), follower.snapshots.of

    leader.now += 1_000
    await store.transact(growing.grow)
    await leader.turns.refresh()
    await store.transact(
        lambda connection: connection.exec_driver_sql("UPDATE meta SET value = 'bm9uZQ==' WHERE key = 'metrics'")
    )
    with pytest.raises(ValueError, match="no metrics"):
        await follower.turns.follow()
    assert await follower.scraped() == before
    assert follower.snapshots.of is snapshots
