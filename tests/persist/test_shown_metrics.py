"""Metrics that the leader keeps for the other replicas: the newest alone, and none once somebody was erased."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from collector.persist.engine import Store, open_store
from collector.persist.shown import KeptMetrics, kept_metrics, note_metrics
from collector.persist.userdata import erase

FIRST, SECOND = KeptMetrics(1_000, "Zmlyc3Q=" * 2_000), KeptMetrics(2_000, "c2Vjb25k" * 3_000)


async def test_the_newest_are_kept(store: Store) -> None:
    """None before the first, and none for whoever has them already."""
    assert await store.read(partial(kept_metrics, unless=None)) is None
    for noted in (FIRST, SECOND):
        await store.transact(partial(note_metrics, kept=noted))
        assert await store.read(partial(kept_metrics, unless=None)) == noted
    assert await store.read(partial(kept_metrics, unless=FIRST.at)) == SECOND
    assert await store.read(partial(kept_metrics, unless=SECOND.at)) is None


async def test_who_is_erased_is_in_no_metrics(store: Store) -> None:
    """Labels under Coder's names name users: the metrics that are kept go with what is erased."""
    await store.transact(partial(note_metrics, kept=FIRST))
    await store.transact(partial(erase, ids=frozenset({"grace"}), nobody="nobody"))
    assert await store.read(partial(kept_metrics, unless=None)) is None


@pytest.mark.parametrize("database", ["sqlite"])
async def test_nothing_of_older_ones_is_in_the_file(migrated_url: str, tmp_path: Path) -> None:
    """SQLite would leave them in free pages, with the names of users that were erased since."""
    opened = open_store(migrated_url)
    off = text("PRAGMA secure_delete = OFF")  # as SQLite itself has it; some distributions have it on
    await opened.transact(lambda connection: connection.execute(off).close())
    await opened.transact(partial(note_metrics, kept=SECOND))
    await opened.transact(partial(note_metrics, kept=FIRST))
    await opened.close()
    file = (tmp_path / "collector.db").read_bytes()
    assert FIRST.text[:1_000].encode() in file
    assert SECOND.text[:100].encode() not in file
