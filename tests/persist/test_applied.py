"""Which messages of a stream are applied, on both databases."""

from __future__ import annotations

import asyncio
from functools import partial

from sqlalchemy import Connection, func, select

from collector.persist.applied import AppliedMessages
from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.projects import ensure_project
from collector.persist.tables import applied_messages, drop_totals
from collector.persist.writer import Writer
from collector.wire.records import CspIntake, DropReason

NOW = 1_768_300_000_000
STREAM = AppliedMessages("collector", NOW)


def rows(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(applied_messages)) or 0


async def test_a_message_is_new_once(store: Store) -> None:
    """Whoever asks again is told it is not, and the same number in a stream that was made anew is another message."""
    assert await store.transact(partial(STREAM.fresh, numbers=[2, 1])) == {1, 2}
    assert await store.transact(partial(STREAM.fresh, numbers=[3, 2])) == {3}
    assert await store.transact(partial(AppliedMessages("collector", NOW + 1).fresh, numbers=[2])) == {2}


async def test_two_that_apply_the_same_messages_share_them(store: Store) -> None:
    """Of two transactions at once each message is new to one, however they overlap."""
    first, second = await asyncio.gather(
        store.transact(partial(STREAM.fresh, numbers=range(1, 200))),
        store.transact(partial(STREAM.fresh, numbers=range(100, 300))),
    )
    assert first & second == set()
    assert first | second == set(range(1, 300))


async def test_below_what_is_acknowledged_nothing_is_kept(store: Store) -> None:
    """Rows go up to there, and what is delivered again from below is known all the same."""
    await store.transact(partial(STREAM.fresh, numbers=range(1, 11)))
    await store.transact(partial(STREAM.prune, until=7))
    assert await store.read(rows) == 3
    assert await store.read(STREAM.floor) == 7
    assert await store.transact(partial(STREAM.fresh, numbers=[5, 9, 11])) == {11}


async def test_an_older_database_is_known_by_what_it_misses(store: Store) -> None:
    """A message that was acknowledged and is not applied says so; one that the stream has dropped does not."""
    await store.transact(partial(STREAM.fresh, numbers=[3, 4, 6]))
    assert await store.read(partial(STREAM.state, begin=3, until=4)) == (0, False)
    assert await store.read(partial(STREAM.state, begin=1, until=4)) == (0, True)
    assert await store.read(partial(STREAM.state, begin=3, until=6)) == (0, True)
    assert await store.read(partial(STREAM.state, begin=7, until=6)) == (0, False)


async def test_a_message_is_stored_once_however_often_it_comes(store: Store) -> None:
    """Twice in one batch, and again in a later one, it counts once; a caller without a message counts each time."""
    project = await store.transact(partial(ensure_project, name="shop", now=NOW))
    csp = CspRows()
    writer = Writer(store, {CspIntake: csp.store}, queue_limit=1_000, submit_timeout=60, ended=csp.ended)
    writer.applied = AppliedMessages("collector", NOW)
    intake = CspIntake(project.id, "d", NOW, drops=((DropReason.EMPTY, 1),))
    both = [asyncio.create_task(writer.submit([intake], message=1)) for _ in range(2)]
    await asyncio.sleep(0)
    writer.start()
    await asyncio.gather(*both)
    await writer.submit([intake], message=1)
    await writer.submit([intake], message=2)
    await writer.submit([intake])
    await writer.close()
    assert await store.read(lambda connection: connection.scalar(select(func.sum(drop_totals.c.count)))) == 3
