"""Deleting for good where the file itself may be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection


@contextmanager
def overwritten(connection: Connection) -> Iterator[None]:
    """Overwrite what is deleted or replaced meanwhile.

    SQLite otherwise leaves it in the file, for whoever looks at its bytes.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    connection.exec_driver_sql("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")
