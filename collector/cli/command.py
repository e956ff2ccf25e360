"""What the commands have in common: their settings, and the database they work on beside a running service."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from collector.config.loading import load
from collector.config.options import OPTIONS, OptionType
from collector.config.settings import Settings
from collector.persist import migrate
from collector.persist.engine import Store, open_store
from collector.persist.keys import KEY_LENGTH, is_key
from collector.wire.errors import InvalidInput, NotReady

T = TypeVar("T")

# The options that say which database it is: all that a command beside the service needs.
STORE_OPTIONS = tuple(
    option for option in OPTIONS if option.setting in ("data_dir", "pg_connection_url") or option.type is OptionType.CONFIG_PATH
)


class Subcommands(Protocol):
    """What ``add_subparsers`` returns; argparse gives its type no public name."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002
        """Declare one command."""


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings by flags, environment and YAML."""
    return load(args, os.environ).settings


def service_url(text: str) -> str:
    """The ``--url`` of a running service, without slashes at its end.

    Raises:
        InvalidInput: it is none.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput(f"--url {text!r} must be like http://127.0.0.1:3000")
    return text.rstrip("/")


def check_key(flag: str, key: str) -> None:
    """Refuse what cannot be a key, before anything is sent with it.

    Raises:
        InvalidInput: it is not shown: it may be a good one with a letter too many.
    """
    if not is_key(key):
        raise InvalidInput(f"{flag} must be a key: {KEY_LENGTH} letters or digits")


def shown_time(milliseconds: int) -> str:
    """A time as the lists show it: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_transaction(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction on the service's database, which may be in use meanwhile.

    Raises:
        NotReady: when the database has not been migrated, or cannot be used.
    """
    return with_database(_run(settings, lambda store: store.transact(work)))


def in_reading(settings: Settings, work: Callable[[Connection], T]) -> T:
    """Run ``work``, which writes nothing, as :func:`in_transaction` does; a service that writes never waits for it.

    Raises:
        NotReady: likewise.
    """
    return with_database(_run(settings, lambda store: store.read(work)))


async def _run(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    if missing := await migrate.pending(settings.database_url):
        raise NotReady(f"The database lacks {len(missing)} migrations. Run: collector migrate")
    store = open_store(settings.database_url, pool_size=1)
    try:
        return await work(store)
    finally:
        await store.close()


def with_database(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` in an event loop of its own.

    Raises:
        NotReady: when the database cannot be used, in its own words.
    """
    with database_words():
        return asyncio.run(work)


@contextmanager
def database_words() -> Iterator[None]:
    """Turn the failure of a database into one line; the words of drivers hold no password.

    Raises:
        NotReady: in place of what a driver or the operating system raised.
    """
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError, OSError) as error:
        words = " ".join(str(getattr(error, "orig", None) or error).split())
        raise NotReady("The database cannot be used:", words or type(error).__name__) from error
