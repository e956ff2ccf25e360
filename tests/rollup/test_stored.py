"""What a scrape tells of the store beside snapshots."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, event

from collector.persist.engine import Store
from collector.rollup.sources import note_success
from collector.rollup.stored import Stored, stored
from collector.wire.deployment import Source
from tests.records import NOW


async def test_what_is_missing_is_counted_only_where_something_may_be(store: Store) -> None:
    """Below the bound nothing is asked for it; at the bound there may be more, and it is said how many."""
    asked: list[str] = []

    def told(connection: Connection, most: int) -> Stored:
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append(args[2]))
        return stored(connection, now=NOW, most_sources=most)

    def fill(connection: Connection) -> None:
        for number in range(4):
            note_success(connection, f"d{number}", Source.REPORTS, at=NOW)

    await store.transact(fill)
    questions = []
    for most, missing in ((5, 0), (4, 0), (3, 1)):
        asked.clear()
        assert (await store.read(partial(told, most=most))).sources_left_out == missing
        questions.append(len(asked))
    assert questions[1] == questions[2] == questions[0] + 1
