"""Statements of the hot path: built from the tables, compiled once, and run by the driver itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from collector.persist.engine import driver

Compiled = tuple[str, Callable[[dict[str, Any]], tuple[Any, ...]]]


class Statement:
    """A Core statement compiled once a dialect and then run by the driver itself.

    The rows of a hot batch need nothing of what SQLAlchemy does for every execution (60 µs on the machine where a row
    takes 7), and the statement still comes from the tables. ``build`` makes it for a dialect; its bound parameters are the
    keys of the rows. On SQLite what fails is a ``sqlite3.Error``, not SQLAlchemy's.
    """

    def __init__(self, build: Callable[[str], Any]) -> None:
        self._build = build
        self._compiled: dict[str, Compiled] = {}

    def execute_many(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Run the statement once for each of ``rows``, which must not be empty; how many rows it wrote, -1 if unknown."""
        sql, ordered = self._for(connection, rows[0])
        values = [ordered(row) for row in rows]
        if connection.dialect.name == "sqlite":
            return driver(connection).executemany(sql, values).rowcount
        return connection.exec_driver_sql(sql, values).rowcount

    def execute(self, connection: Connection, row: dict[str, Any]) -> int:
        """Run the statement once and return how many rows it wrote."""
        sql, ordered = self._for(connection, row)
        if connection.dialect.name == "sqlite":
            return driver(connection).execute(sql, ordered(row)).rowcount
        return connection.exec_driver_sql(sql, ordered(row)).rowcount

    def _for(self, connection: Connection, row: dict[str, Any]) -> Compiled:
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            compiled = self._build(connection.dialect.name).compile(dialect=connection.dialect, column_keys=list(row))
            known = self._compiled[connection.dialect.name] = str(compiled), itemgetter(*compiled.positiontup)
        return known


class BulkStatement:
    """A SQLite statement that takes all its rows as one JSON array of arrays, and so is one step for the driver.

    The driver gives the interpreter lock away for every row of ``executemany`` and has to get it back from a busy event
    loop: for thirty rows that costs more than storing them does.

    Args:
        statement: with one bound parameter, ``rows``.
        keys: of the rows, in the order of the inner arrays.
    """

    def __init__(self, statement: Any, keys: Sequence[str]) -> None:
        self._sql = str(statement.compile(dialect=sqlite.dialect()))
        self._ordered = itemgetter(*keys)

    def execute_many(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Run the statement for ``rows``; how many rows it wrote."""
        values = msgspec.json.encode([self._ordered(row) for row in rows]).decode()
        return driver(connection).execute(self._sql, (values,)).rowcount
