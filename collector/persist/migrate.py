"""Alembic from code: used by ``serve`` at start, by ``collector migrate`` and by the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from collector.persist.engine import SCHEMA, PostgresStore, SqliteStore, open_store
from collector.wire.errors import Conflict

T = TypeVar("T")

# Any number will do, as long as no other program that shares the database takes the same advisory lock.
ADVISORY_LOCK = 0x636F6C6C_6563746F


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to ``revision`` in one transaction, under a lock that makes a second migrator wait for the first.

    Raises:
        Conflict: when the database is at a revision that this version does not know.
    """
    with _known_revisions():
        await _under_lock(url, lambda connection: command.upgrade(_config(connection), revision))


async def downgrade(url: str, revision: str) -> None:
    """Take the database back to ``revision``, in one transaction under the same lock."""
    await _under_lock(url, lambda connection: command.downgrade(_config(connection), revision))


async def pending(url: str) -> list[str]:
    """The revisions the database still lacks, oldest first. Asking changes nothing: it makes no file and takes no lock.

    Raises:
        Conflict: when the database is at a revision that this version does not know.
    """
    scripts = ScriptDirectory.from_config(_config(None))
    current = await _current(url)
    with _known_revisions():
        return [script.revision for script in reversed(list(scripts.iterate_revisions("heads", current or "base")))]


def revisions() -> list[str]:
    """Every revision there is, oldest first."""
    return [script.revision for script in reversed(list(ScriptDirectory.from_config(_config(None)).walk_revisions()))]


async def _under_lock(url: str, work: Callable[[Connection], T]) -> T:
    store = open_store(url, pool_size=1)
    try:
        if isinstance(store, PostgresStore):
            return await store.transact(lambda connection: _with_schema(connection, work))
        return await store.transact(work)  # BEGIN IMMEDIATE is SQLite's lock
    finally:
        await store.close()


def _with_schema(connection: Connection, work: Callable[[Connection], T]) -> T:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    connection.execute(text("SET LOCAL statement_timeout = 0"))  # a migration of a large table may take its time
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    return work(connection)


@contextmanager
def _known_revisions() -> Iterator[None]:
    try:
        yield
    except (CommandError, RevisionError) as error:
        raise Conflict("A newer version has migrated this database:", str(error)) from error


async def _current(url: str) -> str | None:
    store = open_store(url, pool_size=1)
    try:
        if isinstance(store, SqliteStore) and not store.path.is_file():
            return None
        return await store.read(lambda connection: MigrationContext.configure(connection).get_current_revision())
    finally:
        await store.close()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> Path:
    """The migrations: beside the package in a checkout, inside it once installed from a wheel."""
    package = Path(__file__).resolve().parent.parent
    return next(place for place in (package.parent / "migrations", package / "migrations") if (place / "env.py").is_file())
