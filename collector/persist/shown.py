"""Which snapshots are shown, as the leader says: the other replicas show the same ones, and never decide for themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, and_, delete, insert, select

from collector.persist.tables import shown_snapshots as table
from collector.persist.tables import snapshots


class Key(NamedTuple):
    """Which snapshot it is; ``collected_at`` in ms."""

    deployment: str
    source: str
    collected_at: int


class Shown(NamedTuple):
    """Rows of the snapshots, the deployment that answers when nobody names one, and the sources that an option chose."""

    rows: list[RowMapping]
    default: str | None  # None: nothing was shown yet
    said: dict[str, str]


def note_shown(connection: Connection, keys: Iterable[Key], *, default: str, said: Collection[str]) -> None:
    """Show these snapshots and no others; ``said`` are deployments whose source an option chose."""
    connection.execute(delete(table))
    rows = [{**key._asdict(), "answers": key.deployment == default, "said": key.deployment in said} for key in keys]
    if rows:
        connection.execute(insert(table), rows)


def shown(connection: Connection) -> Shown:
    """What is shown, by deployment. A snapshot that retention has taken is left out."""
    chosen = table.c
    same = and_(*(snapshots.c[name] == chosen[name] for name in Key._fields))
    rows = connection.execute(select(snapshots).join_from(snapshots, table, same).order_by(chosen.deployment)).mappings().all()
    notes = connection.execute(select(chosen.deployment, chosen.source, chosen.answers, chosen.said)).all()
    default = next((deployment for deployment, _, answers, _ in notes if answers), None)
    return Shown(list(rows), default, {deployment: source for deployment, source, _, said in notes if said})


def is_built(connection: Connection, source: str, *, since: int) -> bool:
    """Whether there is a snapshot of ``source`` from ``since`` (ms) on."""
    newer = select(snapshots.c.collected_at).where(snapshots.c.collected_at >= since, snapshots.c.source == source)
    return connection.scalar(newer.limit(1)) is not None
