"""Snapshots of a store, made by one process that is alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from collector.persist.engine import Store
from collector.rollup.snapshot import Snapshots
from collector.rollup.turns import Turns
from collector.serve.collected import Chosen
from collector.serve.exporter import Exporter
from tests.records import DEPLOYMENT, NOW

Write = Callable[[Callable[[Connection], None]], Awaitable[None]]


def turns_on(store: Store, snapshots: Snapshots, *, own: str = DEPLOYMENT, write: Write | None = None, now: int = NOW) -> Turns:
    """Its turns, of half a minute."""
    return Turns(
        store,
        write or store.transact,
        snapshots,
        own,
        Exporter(Chosen()),
        now=lambda: now,
        interval_ms=30_000,
        epoch=lambda: 1,
    )
