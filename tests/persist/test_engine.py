"""Opening a store, and what it says about itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert

from collector.persist import migrate
from collector.persist.engine import Store, open_store
from collector.persist.tables import snapshots
from collector.wire.errors import InvalidOption

ROWS = 20_000


def fill(connection: Connection) -> None:
    numbers = {c.name: 0 for c in snapshots.c if c.name not in ("deployment", "collected_at", "source")}
    connection.execute(
        insert(snapshots), [{"deployment": "d", "collected_at": n, "source": "s", **numbers} for n in range(ROWS)]
    )


async def analyze(store: Store) -> None:
    """What autovacuum does by itself after a while."""
    if store.dialect == "postgresql":
        await store.transact(lambda connection: connection.exec_driver_sql("ANALYZE"))


async def test_a_store_that_was_emptied_is_small(store: Store) -> None:
    """What is deleted no longer counts, or a store that retention has emptied would refuse reports for ever."""
    empty = await store.size_bytes()
    await store.transact(fill)
    await analyze(store)
    full = await store.size_bytes()
    assert full > empty + ROWS * 20

    await store.transact(lambda connection: connection.execute(delete(snapshots).where(snapshots.c.collected_at >= ROWS // 10)))
    await analyze(store)
    assert await store.size_bytes() < empty + (full - empty) / 4


@pytest.mark.parametrize("version", [(3, 34, 1), (3, 7, 17)])
async def test_an_old_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]) -> None:
    """A Python whose SQLite lacks what the statements need is told so before a file is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)

    with pytest.raises(InvalidOption, match=r"3\.35\.0 is needed"):
        open_store(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(InvalidOption, match=r"3\.35\.0 is needed"):
        await migrate.upgrade(f"sqlite:///{tmp_path}/x.db")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 — nothing else runs in this loop
