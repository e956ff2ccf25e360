"""What is shown, as the leader says: the other replicas show the same, and never decide for themselves.

That is which snapshots there are, and the metrics of the deployments that were read with them, as Prometheus reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, and_, delete, insert, select

from collector.persist import engine
from collector.persist.secure_delete import overwritten
from collector.persist.tables import meta, snapshots
from collector.persist.tables import shown_snapshots as table

# Two rows of ``meta``: whoever has that reading already does not fetch it again.
METRICS, METRICS_AT = "metrics", "metrics_at"


class KeptMetrics(NamedTuple):
    """Metrics of the reading of ``at`` (ms), in the text format, as a raw deflate stream in base64."""

    at: int
    text: str


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


def note_metrics(connection: Connection, kept: KeptMetrics) -> None:
    """Show these metrics and no others. Those before may have named a user who was erased since: nothing of them is left."""
    with overwritten(connection):
        for key, value in ((METRICS_AT, str(kept.at)), (METRICS, kept.text)):
            noted = engine.insert(connection.dialect.name, meta).values(key=key, value=value)
            connection.execute(noted.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": noted.excluded.value}))


def kept_metrics(connection: Connection, *, unless: int | None) -> KeptMetrics | None:
    """The metrics that are shown; None when there are none, and when they are those of the reading of ``unless`` (ms)."""
    at = _kept_at(connection)
    text = None if at in {None, unless} else connection.scalar(select(meta.c.value).where(meta.c.key == METRICS))
    return None if at is None or text is None else KeptMetrics(at, text)


def forget_metrics(connection: Connection) -> None:
    """Keep them no longer: they may name somebody who is not to be known any more. The next snapshot brings others."""
    connection.execute(delete(meta).where(meta.c.key.in_((METRICS, METRICS_AT))))


def _kept_at(connection: Connection) -> int | None:
    at = connection.scalar(select(meta.c.value).where(meta.c.key == METRICS_AT))
    return None if at is None else int(at)


def is_built(connection: Connection, source: str, *, since: int) -> bool:
    """Whether there is a snapshot of ``source`` from ``since`` (ms) on, and the metrics that were read with it."""
    newer = select(snapshots.c.collected_at).where(snapshots.c.collected_at >= since, snapshots.c.source == source)
    return connection.scalar(newer.limit(1)) is not None and (_kept_at(connection) or 0) >= since
