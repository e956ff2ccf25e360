"""Days of agent reports on PostgreSQL: made ahead, dropped whole, and never in the way of what comes in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import asyncpg
import pytest
from sqlalchemy import Connection, event, func, select, text

from collector.persist import agentstats, migrate
from collector.persist.engine import Store, open_store
from collector.persist.partitions import AHEAD, DAY_MS, WORK_TIMEOUT_MS, day_of, days, drop_oldest, make_ahead, strays
from collector.persist.tables import agent_stats
from collector.rollup.agentstats import agent_use
from collector.rollup.coder_metrics import coder_moment
from collector.rollup.retention import Retentions, purge
from tests.postgres import PostgresServer
from tests.records import DEPLOYMENT, NOW, agent_report

T = TypeVar("T")

KEEP = Retentions()
TODAY, TOMORROW = day_of(NOW), day_of(NOW + DAY_MS)
HOUR_MS = 3_600_000
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def url(postgres: PostgresServer, migrated_template: str) -> str:
    """A migrated database of its own."""
    return postgres.fresh_url(copy_of=migrated_template)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """It, opened."""
    opened = open_store(url)
    yield opened
    await opened.close()


async def received(store: Store, *times: int) -> None:
    """Store a report for each of ``times``, in one transaction."""
    reports = [agent_report(received_at=at, rx_bytes=number) for number, at in enumerate(times)]
    await store.transact(lambda connection: agentstats.store(connection, reports))


async def made(store: Store, *, now: int = NOW) -> int:
    """Make the days ahead of ``now``."""
    return await store.transact(partial(make_ahead, now=now))


async def placed(store: Store) -> dict[str, int]:
    """How many reports there are by the table that holds them."""
    place = text("tableoid::regclass::text")
    query = select(place, func.count()).select_from(agent_stats).group_by(place)
    return {row[0]: row[1] for row in await store.read(lambda connection: connection.execute(query).all())}


async def days_until(store: Store, at: int) -> list[str]:
    """The names of the days that begin by ``at``. Later ones are there by the clock on the wall, from the migration."""
    return [day.name for day in await store.read(days) if day.begins <= at]


async def test_a_report_is_in_its_day(store: Store) -> None:
    """The last millisecond of a day (UTC) belongs to it, the next one to the next."""
    assert await made(store) == 1 + AHEAD
    await received(store, NOW, TODAY.begins, TODAY.ends - 1, TODAY.ends)

    assert (TODAY.name, TOMORROW.name) == ("agent_stats_20260114", "agent_stats_20260115")
    assert await placed(store) == {TODAY.name: 3, TOMORROW.name: 1}


async def test_a_report_without_a_day_is_stored(store: Store) -> None:
    """After a step of the clock, or late from a stream, it is astray: found by every query, and purged when it is due."""
    await made(store)
    await received(store, NOW, NOW + 30 * DAY_MS, NOW - DAY_MS - 1, NOW - HOUR_MS * 12)

    assert await placed(store) == {TODAY.name: 1, strays.name: 3}
    assert await store.read(lambda connection: connection.scalar(select(func.count()).select_from(agent_stats))) == 4

    assert (await purge(store.transact, KEEP, now=NOW))["agent_stats"] == 1
    assert await placed(store) == {TODAY.name: 1, strays.name: 2}


async def test_what_is_astray_moves_to_its_day(store: Store) -> None:
    """When a day is made after its first reports have come, they are in it, and those of other days stay where they are."""
    await received(store, NOW, TODAY.begins, TOMORROW.begins, TODAY.begins - 1)
    assert await placed(store) == {strays.name: 4}

    await made(store)

    assert await placed(store) == {TODAY.name: 2, TOMORROW.name: 1, strays.name: 1}


async def test_days_are_made_once(store: Store, url: str) -> None:
    """Two processes that make the same days at once take turns, and the second finds nothing to make."""
    other = open_store(url)
    try:
        assert sorted(await asyncio.gather(made(store), made(other))) == [0, 1 + AHEAD]
    finally:
        await other.close()
    assert await made(store) == 0
    assert await made(store, now=NOW + DAY_MS) == 1


async def test_retention_drops_days_whole(store: Store) -> None:
    """A day goes when its last millisecond is too old, with one DROP: no row of any day is deleted."""
    begin = NOW - 3 * DAY_MS
    await made(store, now=begin)
    await received(store, *(begin + number * HOUR_MS for number in range(3 * 24)))
    assert len(await days_until(store, NOW)) == 4

    asked: list[str] = []

    async def write(work: Callable[[Connection], T]) -> T:
        def noted(connection: Connection) -> T:
            event.listen(connection, "before_cursor_execute", lambda *args: asked.append(args[2]))
            return work(connection)

        return await store.transact(noted)

    counts = await purge(write, KEEP, now=NOW)

    assert (counts["agent_days"], counts["agent_stats"]) == (2, 0)
    assert [sql for sql in asked if sql.startswith("DROP")] == [f"DROP TABLE {day_of(NOW - n * DAY_MS).name}" for n in (3, 2)]
    assert not [sql for sql in asked if "DELETE FROM agent_stats" in sql and "DELETE FROM agent_stats_strays" not in sql]
    assert await days_until(store, NOW) == [day_of(NOW - DAY_MS).name, TODAY.name]
    assert await placed(store) == {day_of(NOW - DAY_MS).name: 24, TODAY.name: 10}
    assert (await purge(store.transact, KEEP, now=TODAY.ends - 1))["agent_days"] == 0
    assert (await purge(store.transact, KEEP, now=TODAY.ends))["agent_days"] == 1


async def test_reports_come_in_while_days_are_dropped(store: Store, url: str) -> None:
    """Intake of four connections beside a purge that drops thirty days: every report is stored, and each day is dropped."""
    for day in range(30, -1, -4):
        await made(store, now=NOW - day * DAY_MS)
    other = open_store(url)
    dropped = asyncio.Event()
    sent: list[int] = []

    async def bring(agent: int) -> None:
        while not dropped.is_set():
            report = agent_report(agent_id=f"a{agent}", received_at=NOW, rx_bytes=len(sent))
            sent.append(report.rx_bytes)
            await store.transact(partial(agentstats.store, reports=[report]))

    try:
        bringing = [asyncio.create_task(bring(agent)) for agent in range(4)]
        days_dropped = 0
        async with asyncio.timeout(60):
            while len(await days_until(other, NOW)) > 2:
                days_dropped += (await purge(other.transact, KEEP, now=NOW))["agent_days"]
        dropped.set()
        await asyncio.gather(*bringing)
    finally:
        await other.close()

    assert days_dropped >= 29
    found = await store.read(lambda connection: connection.scalars(select(agent_stats.c.rx_bytes)).all())
    assert Counter(found) == Counter(sent)


async def test_a_drop_gives_way_to_a_reader(store: Store, url: str) -> None:
    """Somebody who reads the table for long delays the drop, not the intake: the drop gives up, and is done next time."""
    await made(store, now=NOW - 2 * DAY_MS)
    await received(store, NOW - 2 * DAY_MS)
    reader = await asyncpg.connect(url)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM collector.agent_stats")
            dropping = asyncio.create_task(store.transact(partial(drop_oldest, before=NOW - DAY_MS)))
            while not dropping.done() and await store.read(lambda c: c.exec_driver_sql(WAITING).scalar()) == 0:
                pass
            async with asyncio.timeout(WORK_TIMEOUT_MS / 1000 - 1):
                await received(store, NOW)
                assert await dropping == 0
    finally:
        await reader.close()

    assert await store.transact(partial(drop_oldest, before=NOW - DAY_MS)) == 1
    assert sum((await placed(store)).values()) == 1


def relations(plan: Any) -> set[str]:
    """Every table that a plan reads."""
    if isinstance(plan, list):
        return set().union(*map(relations, plan))
    if not isinstance(plan, dict):
        return set()
    return {plan["Relation Name"]} if "Relation Name" in plan else set().union(*map(relations, plan.values()))


@pytest.mark.parametrize(
    "read",
    [
        lambda connection: agent_use(connection, DEPLOYMENT, NOW - 15 * 60_000),
        lambda connection: coder_moment(connection, DEPLOYMENT, now=NOW),
    ],
    ids=["snapshot", "coder metrics"],
)
async def test_a_window_reads_no_day_before_it(store: Store, read: Any) -> None:
    """The plans of what reads the last minutes have today in them, and none of the ten days before."""
    for day in (10, 6, 2, 0):
        await made(store, now=NOW - day * DAY_MS)
    await received(store, *(NOW - day * DAY_MS for day in range(11)))
    asked: list[tuple[str, Any]] = []

    def work(connection: Connection) -> set[str]:
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        read(connection)
        plans = [connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", given).scalar() for sql, given in tuple(asked)]
        return set().union(*map(relations, plans))

    found = {name for name in await store.read(work) if name.startswith("agent_stats")}
    assert TODAY.name in found
    assert found.isdisjoint({day_of(NOW - day * DAY_MS).name for day in range(1, 11)})


async def test_reports_survive_the_change_both_ways(database_url: str) -> None:
    """Reports that are there when the table is parted, or put together again, stay as they are; ids go on from the last."""
    revisions = migrate.revisions()
    before = revisions[revisions.index("0014") - 1]
    await migrate.upgrade(database_url, before)
    opened = open_store(database_url)
    rows = select(agent_stats).order_by(agent_stats.c.id)

    async def kept() -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await opened.read(lambda connection: connection.execute(rows).all())]

    await received(opened, NOW - DAY_MS, NOW, NOW - 800 * DAY_MS, NOW + 800 * DAY_MS)
    first = await kept()
    await migrate.upgrade(database_url, "0014")
    assert await kept() == first
    if opened.dialect == "postgresql":
        stray = await placed(opened)
        assert stray.pop(strays.name) == 2
        assert stray == {day_of(NOW - DAY_MS).name: 1, TODAY.name: 1}
    await received(opened, NOW + 1, NOW + 900 * DAY_MS)
    second = await kept()
    await migrate.downgrade(database_url, before)
    assert await kept() == second
    await received(opened, NOW + 2)
    assert [row[0] for row in await kept()] == [1, 2, 3, 4, 5, 6, 7]
    await migrate.upgrade(database_url)
    assert (await kept())[:6] == second
    await opened.close()
