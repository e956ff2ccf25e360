"""Where snapshots come from, and when each source last gave one."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Subquery, Text, func, literal, null, select, union_all

from collector.persist.engine import insert
from collector.persist.history_tables import snapshot_sources as table
from collector.persist.telemetry_tables import telemetry_states
from collector.wire.deployment import Source

MOST_LISTED = 300  # a hundred deployments by three sources: metric labels are made of them


class SourceState(NamedTuple):
    """A source of snapshots of a deployment; ``last_success_at`` in ms, ``version`` None when the source has none."""

    deployment: str
    source: Source
    last_success_at: int
    version: str | None


def note_success(connection: Connection, deployment: str, source: Source, *, at: int, version: str | None = None) -> None:
    """Remember that ``source`` gave a snapshot of ``deployment`` at ``at`` (ms), or the one it gave already."""
    adding = insert(connection.dialect.name, table)
    seen = {
        "last_success_at": adding.excluded.last_success_at,
        "version": func.coalesce(adding.excluded.version, table.c.version),
    }
    row = {"deployment": deployment, "source": source.value, "last_success_at": at, "version": version}
    connection.execute(adding.on_conflict_do_update(index_elements=["deployment", "source"], set_=seen), row)


def last_success(connection: Connection, deployment: str, source: Source) -> int | None:
    """When ``source`` last gave a snapshot of ``deployment``, in ms by our clock; None: never."""
    mine = (table.c.deployment == deployment, table.c.source == source.value)
    return connection.scalar(select(table.c.last_success_at).where(*mine))


def is_known(connection: Connection, deployment: str) -> bool:
    """Whether some source ever gave a snapshot of ``deployment`` that is in the history."""
    return connection.scalar(select(table.c.deployment).where(table.c.deployment == deployment).limit(1)) is not None


def sources(connection: Connection, most: int = MOST_LISTED) -> list[SourceState]:
    """The sources that gave something last, at most ``most``. Telemetry gives it by its messages, shown or not."""
    every = _every().c
    last = func.max(every.last_success_at)
    newest = select(every.deployment, every.source, last, func.max(every.version)).group_by(every.deployment, every.source)
    rows = connection.execute(newest.order_by(last.desc(), every.deployment, every.source).limit(most))
    return [SourceState(deployment, Source(source), at, version) for deployment, source, at, version in rows]


def sources_in_all(connection: Connection) -> int:
    """How many there are, listed or not."""
    every = _every().c
    return (
        connection.scalar(select(func.count()).select_from(select(every.deployment, every.source).distinct().subquery())) or 0
    )


def _every() -> Subquery:
    states = telemetry_states.c
    told = select(states.deployment, literal(Source.TELEMETRY.value, Text), states.message_at, null())
    return union_all(select(table.c.deployment, table.c.source, table.c.last_success_at, table.c.version), told).subquery()
