"""Statements of the hot path: built from the tables, compiled once, and run by the driver itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, TableClause, column, table
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
    """A statement that takes many rows at once on SQLite, and so is one step for the driver; row by row elsewhere.

    The driver gives the interpreter lock away for every row of ``executemany`` and has to get it back from a busy event
    loop: for thirty rows that costs more than storing them does. So they are bound as the rows of one table. (As one JSON
    array they took twice as long, since every value is looked for in its text.) The table's size is a power of two, or
    every number of rows would be a statement of its own to prepare; rows of zeros fill it up, and the statement is to
    pass over them. Not of NULLs: for each of those the driver looks for an adapter, which costs as much as three rows.

    Args:
        statement: reads the rows from ``given(*keys)``.
        keys: the columns of a row, in order.
        singly: what another database runs for each row, its parameters named by ``keys``.
    """

    LARGEST = 256  # rows at once, more are taken in turn: eleven values each stay far below SQLite's 32,766

    def __init__(self, statement: Any, keys: Sequence[str], singly: Statement | None = None) -> None:
        self._sql = str(statement.compile(dialect=sqlite.dialect()))
        self._keys = keys
        self._singly = singly
        self._sized: dict[int, str] = {}

    @staticmethod
    def given(*keys: str) -> TableClause:
        """The rows, as a table in the statement."""
        return table("given", *(column(key) for key in keys))

    def execute_many(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run the statement for ``rows``, at least one; how many rows it wrote, -1 if unknown."""
        if self._singly is not None and connection.dialect.name != "sqlite":
            return self._singly.execute_many(connection, [dict(zip(self._keys, row, strict=True)) for row in rows])
        below = driver(connection)
        before = below.total_changes  # a cursor counts no rows when the statement begins with WITH
        for start in range(0, len(rows), self.LARGEST):
            some = rows[start : start + self.LARGEST]
            size = 1 << (len(some) - 1).bit_length()
            values = list(chain.from_iterable(some))
            values += [0] * (size * len(self._keys) - len(values))
            below.execute(self._for(size), values)
        return below.total_changes - before

    def _for(self, size: int) -> str:
        sql = self._sized.get(size)
        if sql is None:
            row = f"({', '.join('?' * len(self._keys))})"
            rows = ", ".join([row] * size)
            sql = self._sized[size] = f"WITH given ({', '.join(self._keys)}) AS (VALUES {rows}) {self._sql}"
        return sql
