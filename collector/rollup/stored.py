"""What a scrape tells of the store beside snapshots: sums, sources, groups of workspaces, and when there was a backup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from collector.persist.meta import last_backup
from collector.rollup.sources import MOST_LISTED, SourceState, sources, sources_in_all
from collector.rollup.totals import Totals, totals
from collector.rollup.workspace_groups import MOST_CURRENT, current_groups, current_groups_in_all
from collector.wire.workspace_groups import WorkspaceGroup


class Stored(NamedTuple):
    """One moment of the store; two that are equal are rendered alike."""

    sums: Totals
    sources: Sequence[SourceState]
    groups: Sequence[tuple[str, WorkspaceGroup]]
    backup_at: int | None  # ms; None: there never was one
    sources_left_out: int
    groups_left_out: int


def stored(connection: Connection, *, now: int, most_sources: int = MOST_LISTED, most_groups: int = MOST_CURRENT) -> Stored:
    """All of it, as it is at ``now`` (ms)."""
    listed, groups = sources(connection, most_sources), current_groups(connection, now=now, most=most_groups)
    # As nearly always: there are fewer, and nothing has to be counted to know how many are missing.
    sources_left_out = sources_in_all(connection) - len(listed) if len(listed) == most_sources else 0
    groups_left_out = current_groups_in_all(connection, now=now) - len(groups) if len(groups) == most_groups else 0
    return Stored(totals(connection), listed, groups, last_backup(connection), sources_left_out, groups_left_out)
