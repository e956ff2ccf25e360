"""A backup in the place of the database."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.persist.backup import back_up
from collector.persist.restore import check_backup, put_in_place
from collector.wire.errors import Conflict, InvalidInput
from tests.examples import examples


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Path:
    """A database with a row."""
    path = Path(shutil.copy(migrated_file, tmp_path / "collector.db"))
    write(path, "old")
    return path


@pytest.fixture
def backup(database: Path, tmp_path: Path) -> Path:
    """A backup of it, after which another row came."""
    back_up(database, tmp_path / "backup.db")
    write(database, "new")
    return tmp_path / "backup.db"


def write(database: Path, key: str) -> None:
    """Commit a row."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO meta VALUES (?, '1')", (key,))


def keys(database: Path) -> list[str]:
    """The rows there are."""
    with closing(sqlite3.connect(database)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM meta WHERE key IN ('old', 'new') ORDER BY key DESC")]


def names(directory: Path) -> list[str]:
    """The files there are."""
    return sorted(path.name for path in directory.iterdir())


def test_what_was_there_is_kept(database: Path, backup: Path, tmp_path: Path) -> None:
    """The backup is the database, the owner's alone; the old one is whole beside it, with what was in its log alone."""
    aside, killed = tmp_path / "aside.db", tmp_path / "killed"
    killed.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        with connection:
            connection.execute("DELETE FROM meta WHERE key = 'old'")
        for name in ("collector.db", "collector.db-wal"):
            shutil.copy(tmp_path / name, killed / name)  # as a service that was killed leaves them

    assert put_in_place(backup, killed / "collector.db", aside=killed / aside.name)

    assert keys(killed / "collector.db") == ["old"]
    assert keys(killed / aside.name) == ["new"]
    assert stat.S_IMODE((killed / "collector.db").stat().st_mode) == 0o600
    assert names(killed) == ["aside.db", "collector.db"]
    assert backup.is_file()


def test_it_is_kept_where_a_file_has_one_name(database: Path, backup: Path) -> None:
    """Where the old database cannot get a second name, as from one file system to another, it is kept as a copy."""
    device = database.stat().st_dev
    other = next(place for place in ("/dev/shm", tempfile.gettempdir(), ".") if Path(place).stat().st_dev != device)
    with tempfile.TemporaryDirectory(dir=other) as elsewhere:
        aside = Path(elsewhere) / "aside.db"

        assert put_in_place(backup, database, aside=aside)

        assert keys(aside) == ["old", "new"]
    assert keys(database) == ["old"]


def test_a_damaged_database_is_kept_too(database: Path, backup: Path, tmp_path: Path) -> None:
    """What cannot be read any more is put aside as it is; its log does not stay to be replayed into the backup."""
    content = b"not a database" * 1000
    database.write_bytes(content)
    (tmp_path / "collector.db-wal").write_bytes(b"log")

    assert put_in_place(backup, database, aside=tmp_path / "aside.db")

    assert keys(database) == ["old"]
    assert (tmp_path / "aside.db").read_bytes() == content
    assert not (tmp_path / "collector.db-wal").exists()


def test_a_lost_database_is_made_anew(backup: Path, tmp_path: Path) -> None:
    """Where there is none, nothing is kept; a log that was left behind is not replayed."""
    place = tmp_path / "empty"
    place.mkdir()
    (place / "collector.db-wal").write_bytes(b"log")

    assert not put_in_place(backup, place / "collector.db", aside=place / "aside.db")

    assert keys(place / "collector.db") == ["old"]
    assert names(place) == ["collector.db"]


def test_a_command_that_uses_it_is_not_robbed(database: Path, backup: Path, tmp_path: Path) -> None:
    """While somebody reads the database it stays, with all its files."""
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchone()
        before = names(tmp_path)
        with pytest.raises(Conflict, match="is in use by a command"):
            put_in_place(backup, database, aside=tmp_path / "aside.db", wait_s=0.1)
        assert names(tmp_path) == before

    assert keys(database) == ["old", "new"]


def _no_backups(backup: Path) -> Iterator[tuple[str, Path]]:
    place = backup.parent
    whole = backup.read_bytes()
    for name, content in (
        ("empty.db", b""),
        ("text.db", b"collector" * 1000),
        ("cut.db", whole[: len(whole) // 2]),
        ("zeros.db", whole[:4096] + bytes(len(whole) - 4096)),
    ):
        (place / name).write_bytes(content)
    for name, statement in (
        ("other.db", "CREATE TABLE notes (text TEXT)"),
        ("two.db", "CREATE TABLE alembic_version (version_num TEXT)"),
    ):
        with closing(sqlite3.connect(place / name)) as connection:
            connection.execute(statement)
    orphan = Path(shutil.copy(backup, place / "orphan.db"))
    with closing(sqlite3.connect(orphan)) as connection, connection:
        connection.execute(
            "INSERT INTO tokens (id, user_id, secret_hash, created_at, expires_at) VALUES ('a', 'x', x'00', 0, 0)"
        )
    logged = Path(shutil.copy(backup, place / "logged.db"))
    (place / "logged.db-wal").write_bytes(b"log")
    yield "no database", place / "empty.db"
    yield "is no database that can be read", place / "text.db"
    yield "malformed", place / "cut.db"
    yield "malformed", place / "zeros.db"
    yield "no database of a collector: it has no migrations", place / "other.db"
    yield "it has 0 migrations", place / "two.db"
    yield "a row of tokens refers to a row of users", orphan
    yield "logged.db-wal belongs to it", logged
    yield "is no database that can be read", place / "nowhere.db"
    yield "is no database that can be read", place


def test_what_is_no_backup_is_refused_by_name(backup: Path) -> None:
    """Nothing is put in place that is cut off, damaged, somebody else's or not a single file."""
    for words, file in _no_backups(backup):
        with pytest.raises(InvalidInput) as refused:
            check_backup(file)
        assert words in f"{refused.value.message} {refused.value.detail}", file
        assert file.name in refused.value.message
    assert check_backup(backup)


def test_a_refusal_leaves_everything(database: Path, backup: Path, tmp_path: Path) -> None:
    """A backup that proves damaged only once it is copied changes neither the database nor what lies beside it."""
    before = names(tmp_path)
    whole = backup.read_bytes()
    backup.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(InvalidInput):
        put_in_place(backup, database, aside=tmp_path / "aside.db")

    assert names(tmp_path) == before
    assert keys(database) == ["old", "new"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50))
@given(place=st.integers(min_value=0), junk=st.binary(min_size=1, max_size=64))
def test_damage_never_ends_in_another_error(backup: Path, place: int, junk: bytes) -> None:
    """Bytes that changed anywhere are either found, in our words, or are in a place that says nothing."""
    whole = backup.read_bytes()
    at = place % len(whole)
    damaged = backup.with_name("damaged.db")
    damaged.write_bytes(whole[:at] + junk + whole[at + len(junk) :])

    with suppress(InvalidInput):
        check_backup(damaged)
