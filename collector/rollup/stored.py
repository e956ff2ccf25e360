"""What one scrape reads from the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from collector.persist.meta import last_backup
from collector.rollup.sources import SourceState, sources, sources_in_all
from collector.rollup.totals import Totals, totals
from collector.rollup.workspace_groups import current_groups, current_groups_in_all
from collector.wire.workspace_groups import WorkspaceGroup


class Stored(NamedTuple):
    """One moment of the store; two that are equal are rendered alike."""

    sums: Totals
    sources: Sequence[SourceState]
    groups: Sequence[tuple[str, WorkspaceGroup]]
    backup_at: int | None  # ms; None: there never was one
    sources_left_out: int
    groups_left_out: int


def stored(connection: Connection, *, now: int) -> Stored:
    """All of it, as it is at ``now`` (ms)."""
    listed, groups = sources(connection), current_groups(connection, now=now)
    return Stored(
        totals(connection),
        listed,
        groups,
        last_backup(connection),
        sources_left_out=sources_in_all(connection) - len(listed),
        groups_left_out=current_groups_in_all(connection, now=now) - len(groups),
    )
