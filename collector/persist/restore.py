"""A copy that ``collector backup`` made, in the place of the SQLite database that no service uses meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from collector.persist.engine import BUSY_TIMEOUT_MS
from collector.persist.newfile import new_file, sync
from collector.wire.errors import Conflict, InvalidInput

LOGS = ("-wal", "-shm")


def check_backup(file: Path) -> str:
    """Look through all of ``file``, which is changed by nothing here, and give the last migration that was applied to it.

    Raises:
        InvalidInput: it is no whole database of a collector; the message says why.
    """
    for suffix in LOGS:
        if _beside(file, suffix).exists():
            raise InvalidInput(f"{file} is in use, or was: {_beside(file, suffix).name} belongs to it. A backup is one file.")
    try:
        # Immutable: neither a lock nor a log is made beside a copy that may lie on a read-only medium.
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            return _checked(copy, file)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's own words may hold what is damaged
        raise InvalidInput(f"{file} is no database that can be read:", str(error)) from error


def _checked(copy: sqlite3.Connection, file: Path) -> str:
    copy.text_factory = partial(str, encoding="utf-8", errors="replace")  # what is damaged may be the name of a table
    (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise InvalidInput(f"{file} is damaged:", " ".join(str(verdict).split()))
    if broken := copy.execute("PRAGMA foreign_key_check").fetchone():
        raise InvalidInput(f"{file} is damaged:", f"a row of {broken[0]} refers to a row of {broken[2]} that is not there")
    if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        raise InvalidInput(f"{file} is no database of a collector: it has no migrations.")
    rows = copy.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(rows) != 1:
        raise InvalidInput(f"{file} is no database of a collector: it has {len(rows)} migrations at once.")
    return str(rows[0][0])


def put_in_place(file: Path, database: Path, *, aside: Path, wait_s: float = BUSY_TIMEOUT_MS / 1000) -> bool:
    """Make a copy of ``file`` the database at ``database``; whether there was one before, which is then at ``aside``.

    Whoever calls holds the lock of the data directory. At every moment there is either the old database or the new one, also
    after a power cut, and never one of them beside the log of the other. Commands that use it have ``wait_s`` to end.

    Raises:
        Conflict: a command is using the database just now, or ``aside`` is there already.
        InvalidInput: a file cannot be read or written.
    """
    if aside.exists():
        raise Conflict(f"{aside} is there already.")
    incoming = database.with_name(f".{database.name}.restored")
    try:
        incoming.unlink(missing_ok=True)
        with new_file(incoming) as part:
            shutil.copyfile(file, part)
        check_backup(incoming)  # what will be used, not what lay elsewhere a moment ago
        replaced = database.exists()
        if replaced:
            _end_log(database, aside, wait_s)
            _keep(database, aside)
        else:
            _remove_logs(database)
        incoming.rename(database)
        sync(database.parent)
    except OSError as error:
        raise InvalidInput(f"{error.filename or database}: {error.strerror}") from error
    finally:
        incoming.unlink(missing_ok=True)
    return replaced


def _end_log(database: Path, aside: Path, wait_s: float) -> None:
    """Bring what is in the log into the database; one that is too damaged for that keeps its log, beside ``aside``."""
    try:
        with closing(sqlite3.connect(database, timeout=wait_s, isolation_level=None)) as old:
            (mode,) = old.execute("PRAGMA journal_mode = DELETE").fetchone()  # needs it for itself alone
        in_use = mode != "delete"
    except sqlite3.OperationalError as error:
        in_use = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    except sqlite3.DatabaseError:
        in_use = False
    if in_use:
        raise Conflict(f"{database} is in use by a command: try again when that has ended.")
    for suffix in LOGS:
        if _beside(database, suffix).exists():
            _beside(database, suffix).rename(_beside(aside, suffix))
    sync(database.parent)


def _keep(database: Path, aside: Path) -> None:
    try:
        os.link(database, aside)
    except OSError:  # some file systems give a file one name only
        with new_file(aside) as part:
            shutil.copyfile(database, part)


def _remove_logs(database: Path) -> None:
    """The log of a database that is gone must not be replayed into another one."""
    for suffix in LOGS:
        _beside(database, suffix).unlink(missing_ok=True)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)
