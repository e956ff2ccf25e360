"""A backup of the SQLite database."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from collector.persist.backup import back_up
from collector.persist.engine import SqliteStore
from collector.persist.migrate import pending, upgrade
from collector.wire.errors import CollectorError, Conflict, InvalidInput, NotReady


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A migrated database."""
    await upgrade(f"sqlite:///{tmp_path / 'collector.db'}")
    return tmp_path / "collector.db"


async def test_the_copy_is_whole_while_others_write(database: Path, tmp_path: Path) -> None:
    """Made in the middle of somebody's transaction it holds what was committed before, and is the owner's alone."""
    store, target = SqliteStore(database), tmp_path / "copy.db"
    try:
        await store.transact(lambda c: c.exec_driver_sql("INSERT INTO meta (key, value) VALUES ('before', 'x')"))

        def copy_meanwhile(connection: object) -> int:
            connection.exec_driver_sql("INSERT INTO meta (key, value) VALUES ('during', 'x')")  # type: ignore[attr-defined]
            return back_up(database, target)

        size = await store.transact(copy_meanwhile)
    finally:
        await store.close()

    assert size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT key FROM meta WHERE key IN ('before', 'during')").fetchall() == [("before",)]
        assert copy.execute("PRAGMA auto_vacuum").fetchone() == (2,)  # freed pages can be returned there too
    assert await pending(f"sqlite:///{target}") == []


@pytest.mark.parametrize(
    ("source", "target", "refusal"),
    [
        ("collector.db", "collector.db", Conflict),
        ("nothing.db", "copy.db", NotReady),
        ("collector.db", "no such directory/copy.db", InvalidInput),
        ("damaged.db", "copy.db", NotReady),
    ],
)
def test_what_cannot_be_copied_leaves_nothing(database: Path, source: str, target: str, refusal: type[CollectorError]) -> None:
    """Neither a copy nor a part of one is left behind, and nothing that was there is touched."""
    whole = database.read_bytes()
    (database.parent / "damaged.db").write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    before = sorted(database.parent.rglob("*"))

    with pytest.raises(refusal):
        back_up(database.parent / source, database.parent / target)

    assert sorted(database.parent.rglob("*")) == before
    assert database.read_bytes() == whole
