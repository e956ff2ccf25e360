"""Migrations go up, down and up again on both databases, and end where the tables page says."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, delete, insert, inspect, select, text

from collector.persist import migrate
from collector.persist.engine import SCHEMA, Store, open_store
from collector.persist.partitions import is_partition
from collector.persist.tables import metadata, snapshots
from collector.rollup.snapshot import stored_row
from collector.rollup.tiers import TIERS, fold
from collector.wire.errors import Conflict
from tests.rollup.test_history import snapshot

BEGIN = 1_768_348_800_000  # 2026-01-14T00:00:00Z


def modes(directory: Path) -> dict[str, int]:
    """What is in ``directory``, with the rights that others have to it."""
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def test_stairway(database_url: str) -> None:
    """Every revision can be applied, taken back and applied again."""
    below = "base"
    for revision in migrate.revisions():
        await migrate.upgrade(database_url, revision)
        await migrate.downgrade(database_url, below)
        await migrate.upgrade(database_url, revision)
        below = revision

    assert await migrate.pending(database_url) == []


async def test_head_is_the_tables_page(store: Store) -> None:
    """A migrated database has exactly the tables, columns and indexes of ``tables.py``."""

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "include_name": lambda name, _type, _parents: not is_partition(name)}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert await store.read(differences) == []


async def test_snapshots_of_before_are_in_the_history(database_url: str) -> None:
    """A store that is upgraded has the points that it would have if it had folded its snapshots from the start."""
    made = [snapshot(BEGIN + n * 30_000, running=n % 7, p50=12.5 if n == 33 else -1.0) for n in range(300)]
    await migrate.upgrade(database_url, "0008")
    opened = open_store(database_url)
    await opened.transact(lambda connection: connection.execute(insert(snapshots), [stored_row(one) for one in made]))
    await migrate.upgrade(database_url)

    def points(connection: Connection) -> list[list[Any]]:
        return [list(connection.execute(select(tier.table).order_by(tier.table.c.at))) for tier in TIERS[1:]]

    def fold_anew(connection: Connection) -> None:
        for tier in TIERS[1:]:
            connection.execute(delete(tier.table))
        for one in made:
            fold(connection, stored_row(one))

    found = await opened.read(points)
    await opened.transact(fold_anew)
    expected = await opened.read(points)
    await opened.close()

    assert [len(rows) for rows in found] == [30, 3, 1]
    for tier, expected_tier in zip(found, expected, strict=True):
        for row, expected_row in zip(tier, expected_tier, strict=True):
            assert row._mapping == pytest.approx(dict(expected_row._mapping))


async def test_taking_history_back_keeps_snapshots(database_url: str) -> None:
    """Those of reports and of telemetry stay, one for each moment; those of polling, which is not there below, go."""
    found = [("reports", 0), ("telemetry", 0), ("telemetry", 1), ("upstream", 2)]
    made = [stored_row(snapshot(BEGIN + at)) | {"source": source} for source, at in found]
    await migrate.upgrade(database_url)
    opened = open_store(database_url)
    await opened.transact(lambda connection: connection.execute(insert(snapshots), made))
    await migrate.downgrade(database_url, "0008")
    columns = select(snapshots.c.source, snapshots.c.collected_at).order_by(snapshots.c.collected_at)
    left = await opened.read(lambda connection: [tuple(row) for row in connection.execute(columns)])
    await opened.close()

    assert left == [("reports", BEGIN), ("telemetry", BEGIN + 1)]


async def test_an_unmigrated_database_names_what_it_lacks(database_url: str, tmp_path: Path) -> None:
    """``pending`` lists the missing revisions and makes neither the file nor the schema."""
    assert await migrate.pending(database_url) == migrate.revisions()

    if database_url.startswith("sqlite"):
        assert modes(tmp_path) == {}
        return
    opened = open_store(database_url)
    schemas = await opened.read(lambda connection: inspect(connection).get_schema_names())
    await opened.close()
    assert SCHEMA not in schemas


async def test_asking_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """``pending`` answers while a transaction holds SQLite's write lock."""
    url = f"sqlite:///{tmp_path / 'collector.db'}"
    await migrate.upgrade(url)
    opened, begun, answered = open_store(url), threading.Event(), threading.Event()

    def hold(_connection: Connection) -> bool:
        begun.set()
        return answered.wait(3)  # less than the 5 s for which a second writer would wait for this one

    holding = asyncio.ensure_future(opened.transact(hold))
    await asyncio.to_thread(begun.wait)
    assert await migrate.pending(url) == []
    answered.set()
    assert await holding, "it was answered only after the transaction had ended"
    await opened.close()


async def test_a_newer_database_is_a_conflict(store: Store, migrated_url: str) -> None:
    """A revision that this version does not know is named in one line."""
    await store.transact(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    for work in (migrate.pending, migrate.upgrade):
        with pytest.raises(Conflict) as refused:
            await work(migrated_url)
        assert "9999" in refused.value.detail


async def test_what_sqlite_writes_is_the_owners_alone(tmp_path: Path) -> None:
    """The database and the two files beside it hold hashes of secrets: nobody else may read them."""
    url = f"sqlite:///{tmp_path / 'collector.db'}"
    await migrate.upgrade(url)
    opened = open_store(url)
    await opened.transact(lambda connection: connection.execute(text("DELETE FROM meta")))
    found = modes(tmp_path)
    await opened.close()

    assert found == {"collector.db": 0o600, "collector.db-wal": 0o600, "collector.db-shm": 0o600}


async def test_two_migrators_wait_for_each_other(database_url: str) -> None:
    """Two processes that start at once on an empty database both succeed."""
    await asyncio.gather(migrate.upgrade(database_url), migrate.upgrade(database_url))

    opened = open_store(database_url)
    await opened.close()
    assert await migrate.pending(database_url) == []
