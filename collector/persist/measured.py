"""How long queries and transactions take, and what becomes of connections; for CODER_PROMETHEUS_COLLECT_DB_METRICS.

Queries are told apart by what they do to which of our tables: a closed list, whatever their text is.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeVar

from prometheus_client import Histogram
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from collector.persist.columns import metadata

T = TypeVar("T")

OTHER = "other"
SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5)
QUERY_SECONDS = Histogram(
    "collector_db_query_seconds",
    "Time of queries that succeeded, by what they do to which table. With CODER_PROMETHEUS_COLLECT_DB_METRICS.",
    ["query"],
    buckets=SECONDS,
)
TRANSACTION_SECONDS = Histogram(
    "collector_db_transaction_seconds",
    "Time of transactions by kind, read or write, from asking for a connection on. With CODER_PROMETHEUS_COLLECT_DB_METRICS.",
    ["kind", "success"],
    buckets=SECONDS,
)

# What a statement changes; FOR UPDATE and DO UPDATE SET do not look like that.
_CHANGED = re.compile(
    r'\b(INSERT)\s+(?:OR\s+\w+\s+)?INTO\s+"?(\w+)|\b(DELETE)\s+FROM\s+"?(\w+)|\b(UPDATE)\s+"?(\w+)"?\s+SET\b', re.IGNORECASE
)
_READ = re.compile(r'\b(?:FROM|JOIN)\s+"?(\w+)', re.IGNORECASE)


@lru_cache(maxsize=2_048)
def family(sql: str) -> str:
    """``select``, ``insert``, ``update`` or ``delete`` with the table, as in ``select_violations``; else ``other``."""
    changed = _CHANGED.search(sql)
    if changed is not None:
        verb, table = (part for part in changed.groups() if part is not None)
        return f"{verb.lower()}_{table}" if table in metadata.tables else OTHER
    # The first of ours: what stands before it may be a name that the query has made.
    read = next((name for name in _READ.findall(sql) if name in metadata.tables), None)
    return f"select_{read}" if read else OTHER


def _observe(sql: str, started: float) -> None:
    QUERY_SECONDS.labels(family(sql)).observe(perf_counter() - started)


class TimedCursor(sqlite3.Cursor):
    """Times what SQLAlchemy executes and what goes to the driver below it alike."""

    def execute(self, sql: str, parameters: Any = (), /) -> TimedCursor:
        """Execute and observe."""
        started = perf_counter()
        super().execute(sql, parameters)
        _observe(sql, started)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> TimedCursor:
        """Execute for all ``parameters`` and observe once."""
        started = perf_counter()
        super().executemany(sql, parameters)
        _observe(sql, started)
        return self


class TimedConnection(sqlite3.Connection):
    """One whose cursors are timed, those among them that its own ``execute`` makes."""

    def cursor(self, factory: Any = TimedCursor) -> Any:
        """A timed cursor."""
        return super().cursor(factory)


def time_queries(engine: AsyncEngine) -> None:
    """Observe what ``engine`` executes, rows that are fetched with it included."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _before(connection: Connection, *_: object) -> None:
        connection.info["query_started"] = perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def _after(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        _observe(statement, connection.info.pop("query_started"))


class Connections(NamedTuple):
    """How many connections are in a transaction, how many are open and idle, and how many transactions wait for one."""

    in_use: int
    idle: int
    waiting: int


class Measurable(Protocol):
    """A store that can say how many connections it has open."""

    dialect: str

    @property
    def open_connections(self) -> int:
        """Those in use among them."""

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """As of ``Store``, like the others."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Likewise."""

    async def size_bytes(self) -> int:
        """Likewise."""

    async def close(self) -> None:
        """Likewise."""


class _Turn:
    """What one transaction counts as: first as waiting, then as in use, at last as nothing."""

    state = "waiting"


class MeasuredStore:
    """A store whose transactions are timed and counted."""

    def __init__(self, store: Measurable) -> None:
        self._store = store
        self.dialect = store.dialect
        self._lock = threading.Lock()  # SQLite's writer is a thread of its own
        self._turns: set[_Turn] = set()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """As of ``Store``, like the others."""
        return await self._timed("write", self._store.transact, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Likewise."""
        return await self._timed("read", self._store.read, work)

    async def size_bytes(self) -> int:
        """Likewise; it is not timed."""
        return await self._store.size_bytes()

    async def close(self) -> None:
        """Likewise."""
        await self._store.close()

    def connections(self) -> Connections:
        """As of now."""
        with self._lock:
            states = [turn.state for turn in self._turns]
        in_use = states.count("in_use")
        return Connections(in_use, max(self._store.open_connections - in_use, 0), states.count("waiting"))

    async def _timed(self, kind: str, run: Callable[..., Awaitable[T]], work: Callable[[Connection], T]) -> T:
        turn, started, success = _Turn(), perf_counter(), "false"

        def begun(connection: Connection) -> T:
            turn.state = "in_use"
            return work(connection)

        with self._lock:
            self._turns.add(turn)
        try:
            result = await run(begun)
            success = "true"
            return result
        finally:
            with self._lock:
                self._turns.discard(turn)
            TRANSACTION_SECONDS.labels(kind, success).observe(perf_counter() - started)
