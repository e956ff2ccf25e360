"""A copy of the SQLite database as it is at one moment, made beside a service that goes on writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from collector.persist.newfile import new_file
from collector.wire.errors import NotReady


def back_up(database: Path, target: Path) -> int:
    """Copy ``database`` to ``target``, a new file that only we can read; gives its size in bytes.

    The copy is whole and checked before it gets its name, and on disk when this returns. It is read in one transaction,
    which no writer waits for. What it has room for that is not used is left out.

    Raises:
        Conflict: ``target`` is there already.
        InvalidInput: ``target`` cannot be written.
        NotReady: there is no database yet, or the copy is not in order.
    """
    if not database.is_file():
        raise NotReady(f"There is no database at {database}.")
    try:
        with new_file(target) as part:  # SQLite keeps the mode of an empty file
            _copy(database, part)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's own words may hold what is damaged
        raise NotReady("The database cannot be copied:", str(error)) from error
    return target.stat().st_size


def _copy(database: Path, part: Path) -> None:
    # Read only in what it does: a connection opened read-only would leave the files beside a WAL behind.
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True)) as source:
        source.execute("VACUUM INTO ?", (str(part),))
    with closing(sqlite3.connect(f"{part.resolve().as_uri()}?mode=ro", uri=True)) as copy:
        (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
