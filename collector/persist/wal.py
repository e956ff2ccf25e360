"""The switch of a SQLite file to its write-ahead log, which readers and a writer can use at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

PAUSE_S = 0.02


def use_wal(
    connection: sqlite3.Connection,
    *,
    wait_s: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Switch the file to WAL, and wait up to ``wait_s`` seconds for others that use it.

    SQLite does not always wait by itself here: of two processes that open a new file at once each holds what the other one
    needs, and so one of them is told at once that the file is locked.
    """
    give_up_at = clock() + wait_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # The lowest byte says what it is, the rest of the code why.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or clock() >= give_up_at:
                raise
            pause(PAUSE_S)
        else:
            return
