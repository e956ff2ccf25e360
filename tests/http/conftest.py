"""A service just after its first start, and a clock that stands still unless it is moved."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pytest
from sqlalchemy import Connection

from collector.http.auth import Credentials
from collector.persist.accounts import create_token, create_user
from collector.persist.engine import Store
from collector.persist.meta import FirstSecrets, first_start
from collector.wire.identity import Role, Scope

NOW = 1_768_384_800_250  # 2026-01-14 10:00:00.25 UTC
DAY_MS = 86_400_000


class TokenOf(Protocol):
    """Makes a token of a new user."""

    def __call__(self, role: Role, *scopes: Scope) -> Awaitable[str]:
        """A token, good for a day, of a user with ``role``."""


@dataclass
class Clock:
    """Seconds that pass only when told; called, it tells the time."""

    at: float = 0.0

    def __call__(self) -> float:
        """The time now."""
        return self.at


@pytest.fixture
def clock() -> Clock:
    """The monotonic clock of the service."""
    return Clock()


@pytest.fixture
async def secrets(store: Store) -> FirstSecrets:
    """What the first start printed."""
    made = await store.transact(partial(first_start, now=NOW, admin_token=lambda: None))
    assert made is not None
    return made


@pytest.fixture
def credentials(store: Store, clock: Clock) -> Credentials:
    """The credentials of a process that has not been asked for anything yet."""
    return Credentials(store, now=lambda: NOW + int(clock() * 1000), clock=clock)


@pytest.fixture
def token_of(store: Store) -> TokenOf:
    """Makes a token, good for a day, of a new user with the role."""
    numbers = itertools.count()

    def make(connection: Connection, role: Role, scopes: tuple[Scope, ...]) -> str:
        user = create_user(connection, f"{role}-{next(numbers)}", role, now=NOW)
        return create_token(connection, user.id, lifetime_ms=DAY_MS, now=NOW, scopes=scopes)

    return lambda role, *scopes: store.transact(partial(make, role=role, scopes=scopes))
