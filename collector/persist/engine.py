"""The two databases, SQLite and PostgreSQL, behind one small :class:`Store`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from collector.persist.libpq import asyncpg_connect_args
from collector.persist.measured import MeasuredStore, TimedConnection, time_queries
from collector.persist.wal import use_wal
from collector.persist.workthread import WorkThread
from collector.wire.errors import InvalidOption

T = TypeVar("T")

SCHEMA = "collector"
BUSY_TIMEOUT_MS = 5_000  # a CLI command is a second process: it waits for the service's transaction, and the service for its
PAGE_CACHE_KIB = 16 * 1024
WAL_KEPT_BYTES = 64 * 1024 * 1024  # of the log's file after a burst; without a limit it keeps its largest size
STATEMENT_TIMEOUT_MS = 30_000  # bounds how long a commit can be in doubt
SQLITE_NEEDED = (3, 35, 0)  # RETURNING, https://sqlite.org/lang_returning.html

DATA_ERRORS = ("22", "23")  # SQLSTATE classes: data exception, integrity constraint violation


class Store(Protocol):
    """One database. Work is a plain function of a SQLAlchemy connection, the same for both engines."""

    dialect: str  # "sqlite" or "postgresql"

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a write transaction and commit it; what it raises rolls everything back and comes through."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a read-only transaction that sees one moment and never waits for, or holds up, a writer."""

    async def size_bytes(self) -> int:
        """How many bytes the data takes up now, free pages within its files left out."""

    async def close(self) -> None:
        """Let running work end, then close every connection."""


def insert(dialect: str, table: Any) -> Any:
    """The dialect's own INSERT, the one with ``on_conflict_do_update``."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def storage_failed(error: Exception) -> bool:
    """Whether ``error`` says that the store could not work, as opposed to a record that no store would take.

    The difference decides between trying the same batch again and looking for the record to refuse.
    """
    if isinstance(error, sqlite3.Error):
        return _sqlite_failed(error)
    if not isinstance(error, DBAPIError):  # a StatementError proper is a value that the driver could not even bind
        return isinstance(error, OSError | TimeoutError | SQLAlchemyTimeoutError)
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_failed(error.orig)
    return error.connection_invalidated or _postgres_failed(error)


def _postgres_failed(error: DBAPIError) -> bool:
    cause = error.orig.__cause__ if error.orig is not None else None
    if isinstance(cause, asyncpg.DataError):  # asyncpg files its own "cannot encode this argument" under interface errors
        return False
    if isinstance(cause, asyncpg.PostgresError):
        return (cause.sqlstate or "")[:2] not in DATA_ERRORS
    return isinstance(error, OperationalError | InterfaceError | InternalError)


def _sqlite_failed(error: sqlite3.Error) -> bool:
    # A corrupt file is a DatabaseError proper; its subclasses for data and constraints speak of the record.
    return isinstance(error, sqlite3.OperationalError | sqlite3.InternalError) or type(error) is sqlite3.DatabaseError


def ping(connection: Connection) -> None:
    """Let the database answer once."""
    connection.exec_driver_sql("SELECT 1").scalar_one()


def driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection below a SQLite one."""
    return connection.connection.dbapi_connection  # type: ignore[return-value] # of a SQLite connection it is just that


def open_store(url: str, *, pool_size: int = 10, idle: int | None = None, measured: bool = False) -> Store:
    """Open the database at ``url``: ``sqlite:///path``, or ``postgres[ql]://`` as libpq takes it.

    Of up to ``pool_size`` connections to PostgreSQL ``idle`` stay open when nothing is done; None: all. One that is
    ``measured`` is a :class:`~collector.persist.measured.MeasuredStore`, whose queries are timed.

    Raises:
        InvalidOption: when the URL cannot be understood, or the SQLite that Python has is too old.
    """
    if url.startswith("sqlite:"):
        if sqlite3.sqlite_version_info < SQLITE_NEEDED:
            raise InvalidOption(
                f"SQLite {sqlite3.sqlite_version} is too old, {'.'.join(map(str, SQLITE_NEEDED))} is needed:"
                " use a Python with a newer one, or PostgreSQL by CODER_PG_CONNECTION_URL"
            )
        sqlite_store = SqliteStore(Path(make_url(url).database or ""), timed=measured)
        return MeasuredStore(sqlite_store) if measured else sqlite_store
    store = PostgresStore(url, pool_size=pool_size, idle=pool_size if idle is None else idle, timed=measured)
    return MeasuredStore(store) if measured else store


class SqliteStore:
    """SQLite in WAL mode: one writing connection on a thread of its own, readers on read-only connections beside it."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, timed: bool = False) -> None:
        self.path = path
        # The writer goes below the async layer: one thread, one synchronous connection. aiosqlite hands every single
        # call to its thread and back, which halves the rows per second (47,000 against 115,000 at 500 rows a batch).
        self._thread = WorkThread("sqlite-writer")
        self._writer = _sqlite_writer(path, timed=timed)
        self._connection: Connection | None = None  # of the writer's thread alone
        self._readers = _sqlite_readers(path)
        if timed:
            time_queries(self._readers)

    @property
    def open_connections(self) -> int:
        """The writer's and the readers'."""
        return (self._connection is not None) + _pooled(self._readers)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the writer's thread, between BEGIN IMMEDIATE and COMMIT."""
        return await self._thread.run(lambda: self._transact(work))

    def _transact(self, work: Callable[[Connection], T]) -> T:
        # One connection for good: taking it out of a pool and putting it back costs a third of an empty transaction.
        if self._connection is None:
            self._connection = self._writer.connect()
        with self._connection.begin():
            return work(self._connection)

    def _close_writer(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._writer.dispose()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a connection that was opened read-only."""
        async with self._readers.begin() as connection:
            return await connection.run_sync(work)

    async def size_bytes(self) -> int:
        """Pages in use, times their size."""
        return await self.read(used_bytes)

    async def close(self) -> None:
        """Close the readers, then the writer on its own thread."""
        await self._readers.dispose()
        await self._thread.run(self._close_writer)
        self._thread.stop()


def _pooled(engine: AsyncEngine) -> int:
    pool: Any = engine.pool  # a queue; the base class has no numbers
    return int(pool.checkedin() + pool.checkedout())


def _sqlite_writer(path: Path, *, timed: bool) -> Engine:
    # isolation_level None: the driver opens no transaction by itself, so that BEGIN IMMEDIATE below is the only one. A
    # deferred BEGIN that reads first and writes later gets SQLITE_BUSY at once, whatever the busy timeout.
    arguments = {"check_same_thread": False, "isolation_level": None} | ({"factory": TimedConnection} if timed else {})
    engine = create_engine(f"sqlite:///{path}", isolation_level=None, connect_args=arguments)

    @event.listens_for(engine, "do_connect")
    def _create(*_: object) -> None:
        # SQLite would let everybody read a new file, and gives its -wal and -shm the same rights. O_EXCL: opening and
        # closing a file that is in use would drop the locks that this process holds on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect in a new file: freed pages can be returned
        use_wal(connection, wait_s=BUSY_TIMEOUT_MS / 1000)
        connection.execute("PRAGMA synchronous = FULL")  # an answered report survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver(connection).execute("BEGIN IMMEDIATE")

    return engine


def _sqlite_readers(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true", pool_size=4, max_overflow=4, connect_args={"isolation_level": None}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # one moment for all statements of a read

    return engine


def used_bytes(connection: Connection) -> int:
    """What ``Store.size_bytes`` counts, for who is reading anyway."""
    if connection.dialect.name != "sqlite":
        return int(connection.exec_driver_sql(_POSTGRES_USED, (SCHEMA,)).scalar_one())

    def pragma(name: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")


class PostgresStore:
    """PostgreSQL through asyncpg, every table in the schema ``collector``."""

    dialect = "postgresql"

    def __init__(self, url: str, *, pool_size: int, idle: int, timed: bool = False) -> None:
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            connect_args=asyncpg_connect_args(
                url,
                server_settings={
                    "search_path": SCHEMA,
                    "application_name": "collector",
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "timezone": "UTC",
                },
            ),
            pool_size=idle,
            max_overflow=pool_size - idle,
            pool_pre_ping=True,  # a restarted server costs one reconnect, not a failed request
        )
        if timed:
            time_queries(self._engine)
        self._snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @property
    def open_connections(self) -> int:
        """Those of the pool."""
        return _pooled(self._engine)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a connection of the pool, between BEGIN and COMMIT."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a read-only transaction of one snapshot (REPEATABLE READ)."""
        async with self._snapshot.begin() as connection:
            return await connection.run_sync(work)

    async def size_bytes(self) -> int:
        """Tables with their indexes and long values."""
        return await self.read(used_bytes)

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()


# PostgreSQL hardly ever gives pages of a table back, so by the size of its files a store that retention has emptied would
# stay full for ever. So a table counts by its live rows when they fill less than four fifths of it: their number is what
# the statistics hold, their size the columns' average widths and 28 bytes of header and pointer. Indexes and long values
# shrink in proportion. A table that was never analyzed counts whole.
_POSTGRES_USED = """
SELECT coalesce(sum(whole * CASE WHEN width IS NULL THEN 1 ELSE least(1, 1.25 * rows * (width + 28) / greatest(own, 1)) END), 0)
FROM (
  SELECT pg_total_relation_size(c.oid) AS whole, pg_relation_size(c.oid) AS own, pg_stat_get_live_tuples(c.oid) AS rows,
         (SELECT sum(s.avg_width) FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname) AS width
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind = 'r'
) AS tables
"""
