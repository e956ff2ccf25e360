"""All rows from one database to another."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, text

from collector.persist import migrate
from collector.persist.archive import ArchiveReader, TableHead
from collector.persist.engine import Store, open_store
from collector.persist.moving import read_archive, tables
from collector.wire.errors import Conflict, InvalidInput, NotReady
from tests.persist.moved import contents, exported, fill_every_table, import_into
from tests.postgres import PostgresServer
from tests.service import ROOT

Change = Callable[[list[Any]], object]


@pytest.fixture(params=["to sqlite", "to postgresql"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A second database, migrated and empty, once of each kind."""
    if request.param == "to sqlite":
        return f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_file'), tmp_path / 'target.db')}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh_url(copy_of=request.getfixturevalue("migrated_template"))


@pytest.fixture
async def target(target_url: str) -> AsyncIterator[Store]:
    """The second database, opened."""
    opened = open_store(target_url)
    yield opened
    await opened.close()


@pytest.fixture
async def archive(store: Store) -> bytes:
    """The export of a database with rows in every table."""
    await store.transact(fill_every_table)
    return await store.read(exported)


def changed(archive: bytes, change: Change) -> bytes:
    """``archive`` with its lines as ``change`` leaves them: values, or the bytes of a line."""
    lines = [msgspec.json.decode(line) for line in gzip.decompress(archive).splitlines()]
    change(lines)
    return gzip.compress(b"".join(line if isinstance(line, bytes) else msgspec.json.encode(line) + b"\n" for line in lines), 1)


def line_of(lines: list[Any], table: str) -> int:
    """Where the first row of ``table`` stands."""
    before = 1
    for head in lines[0]["tables"]:
        if head["name"] == table:
            return before
        before += head["rows"] + 1
    raise LookupError(table)


async def test_every_row_arrives(store: Store, target: Store, archive: bytes) -> None:
    """Of every table, from each kind of database to each: extreme numbers, bytes, texts and NULL as they were."""
    before = await store.read(contents)
    assert [name for name, rows in before.items() if not rows] == []

    await import_into(target, archive)

    assert await target.read(contents) == before


@pytest.mark.slow
async def test_what_was_moved_moves_on_unchanged(target: Store, archive: bytes) -> None:
    """Exported again, every table has the checksum that it had before."""

    def feet(archive: bytes) -> list[Any]:
        return [line for line in map(json.loads, gzip.decompress(archive).splitlines()[1:]) if isinstance(line, dict)]

    await import_into(target, archive)

    assert feet(await target.read(exported)) == feet(archive)


@pytest.mark.slow
async def test_new_rows_get_new_numbers(target: Store, archive: bytes) -> None:
    """After the import the database counts on from the highest number of each table that it numbers by itself."""
    await import_into(target, archive)
    numbered = [table for table in tables() if table.autoincrement_column is not None]

    def next_numbers(connection: Connection) -> dict[str, int]:
        found = {}
        for table in numbered:
            values = ", ".join(_literal(column, table.name) for column in table.columns if not column.primary_key)
            names = ", ".join(column.name for column in table.columns if not column.primary_key)
            made = connection.execute(text(f"INSERT INTO {table.name} ({names}) VALUES ({values}) RETURNING id"))
            found[table.name] = int(made.scalar_one())
        return found

    found = await target.transact(next_numbers)

    assert set(found.values()) == {2**62 + 3}
    assert {"violations", "projects", "agent_stats", "csp_alerts"} <= set(found)


def _literal(column: Any, name: str) -> str:
    if column.nullable:
        return "NULL"
    if column.foreign_keys:
        return str(2**62)
    kind = column.type.python_type
    return {bool: "false", int: "1", float: "1.5", bytes: "''"}.get(kind, f"'new {name}'")


def test_no_table_is_forgotten(migrated_file: Path) -> None:
    """A process that imports nothing but the export knows every table of a migrated database, each after those it names."""
    code = "from collector.persist.moving import tables; print(*(table.name for table in tables()))"
    known = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    with closing(sqlite3.connect(migrated_file)) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()

    assert sorted([*known, "alembic_version"]) == sorted(name for (name,) in rows)
    for table in tables():
        for key in table.foreign_keys:
            assert known.index(key.column.table.name) < known.index(table.name)


@pytest.mark.slow
async def test_nobody_writes_or_sees_half_an_import(postgres: PostgresServer, migrated_template: str, tmp_path: Path) -> None:
    """While PostgreSQL is filled others read the empty tables, and a service that starts waits with its first row."""
    url = postgres.fresh_url(copy_of=migrated_template)
    name = url.rpartition("/")[2].partition("?")[0]
    seen: list[str] = []

    def meanwhile(table: TableHead, _done: int) -> None:
        if table.name != "meta":
            return
        with pytest.raises(subprocess.CalledProcessError) as refused:
            postgres.psql(name, "SET lock_timeout = '50ms'; INSERT INTO collector.meta VALUES ('first_start', '1')")
        seen.extend([postgres.psql(name, "SELECT count(*) FROM collector.meta").strip(), refused.value.stderr])

    source = open_store(f"sqlite:///{tmp_path / 'source.db'}")
    await migrate.upgrade(f"sqlite:///{tmp_path / 'source.db'}")
    await source.transact(fill_every_table)
    archive = io.BytesIO(await source.read(exported))
    await source.close()
    target = open_store(url)
    await target.transact(lambda c: read_archive(c, ArchiveReader(archive), current=True, show=meanwhile))
    await target.close()

    assert seen[0] == "0"
    assert "lock timeout" in seen[1]
    assert postgres.psql(name, "SELECT count(*) FROM collector.meta").strip() == "3"


@pytest.mark.slow
async def test_only_an_empty_database_is_filled(target: Store, archive: bytes) -> None:
    """What is not empty is named, and nothing of it is touched."""
    await target.transact(lambda c: c.execute(text("INSERT INTO meta (key, value) VALUES ('first_start', '1')")))

    with pytest.raises(Conflict, match=r"^The database is not empty: there are rows in meta\."):
        await import_into(target, archive)

    left = await target.read(contents)
    assert {name: rows for name, rows in left.items() if rows} == {"meta": [("first_start", "1")]}


def _set(lines: list[Any], table: str, column: str, value: Any) -> None:
    head = next(head for head in lines[0]["tables"] if head["name"] == table)
    lines[line_of(lines, table)][head["columns"].index(column)] = value


DAMAGE: dict[str, tuple[Change, str]] = {
    "a path for a name": (lambda lines: lines[0]["tables"][0].update(name="../../etc/passwd"), "no table '../../etc/passwd'"),
    "the migrations' own table": (lambda lines: lines[0]["tables"][0].update(name="alembic_version"), "no table 'alembic_ver"),
    "a table too few": (lambda lines: lines[0]["tables"].pop(), "The export lacks the tables "),
    "a column too few": (lambda lines: lines[0]["tables"][-1]["columns"].pop(), "has other columns"),
    "a foreign column": (lambda lines: lines[0]["tables"][0]["columns"].append("x; --"), "'x; --'"),
    "a row too few": (lambda lines: lines.pop(1), "no row of this table"),
    "a row twice": (lambda lines: lines.insert(4, lines[3]), "their checksum should follow"),
    "another value": (lambda lines: _set(lines, "violations", "count", 7), "the checksum is that of other rows"),
    "text for a number": (lambda lines: _set(lines, "violations", "count", "7"), "Table violations, row 1 of 3: no row of"),
    "a number beyond 64 bits": (
        lambda lines: _set(lines, "violations", "count", 2**63),
        "Table violations, row 1 of 3: no row",
    ),
    "NULL where none may be": (lambda lines: _set(lines, "violations", "count", None), "Table violations, row 1 of 3: no row"),
    "no Base64": (lambda lines: _set(lines, "tokens", "secret_hash", "!"), "Table tokens, row 1 of 3: no row of this table"),
    "half a character": (
        lambda lines: lines.__setitem__(line_of(lines, "meta"), b'["first_start","\\ud800"]\n'),
        "Table meta, row 1 of 3: no row",
    ),
    "nobody's violation": (
        lambda lines: _set(lines, "csp_minutes", "violation_id", 5),
        "Table csp_minutes, rows 1 to 3: not t",
    ),
    "the end too early": (lambda lines: lines.pop(), "the file ends too early"),
    "more after the end": (lambda lines: lines.append({}), "After the last table"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.slow
async def test_a_damaged_archive_leaves_nothing(target: Store, damage: str, tmp_path: Path, migrated_file: Path) -> None:
    """It is refused by name, the database is as empty as before, and a whole archive can be imported then."""
    change, words = DAMAGE[damage]
    source = open_store(f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'source.db')}")
    await source.transact(fill_every_table)
    whole = await source.read(exported)
    await source.close()

    with pytest.raises((InvalidInput, Conflict)) as refused:
        await import_into(target, changed(whole, change))

    assert words in f"{refused.value.message} {refused.value.detail}"
    assert {name: rows for name, rows in (await target.read(contents)).items() if rows} == {}
    await import_into(target, whole)


async def test_an_infinite_number_is_not_lost_in_silence(store: Store) -> None:
    """JSON has no place for it, and so its table and column are named in place of an export that would hold another value."""
    await store.transact(fill_every_table)
    infinite = "9e999" if store.dialect == "sqlite" else "'infinity'"
    await store.transact(lambda connection: connection.execute(text(f"UPDATE violations SET trend = {infinite}")))

    with pytest.raises(NotReady, match="Table violations cannot be exported: in trend is no finite number"):
        await store.read(exported)
