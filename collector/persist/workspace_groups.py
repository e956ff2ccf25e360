"""Counts of workspaces -> rows: one a group and hour, which holds its last count and the most that were counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, case

from collector.persist.engine import insert
from collector.persist.history_tables import workspace_groups as table
from collector.wire.workspace_groups import WorkspaceGroup

HOUR_MS = 3_600_000
KEY = ("deployment", "at", "organization", "template", "prebuilt")


def store(connection: Connection, groups: Sequence[WorkspaceGroup], *, deployment: str, counted_at: int) -> None:
    """Store all groups that were counted at ``counted_at`` (ms); the same again changes nothing."""
    if not groups:
        return
    about = {"deployment": deployment, "at": counted_at - counted_at % HOUR_MS, "counted_at": counted_at}
    rows = [{**about, **_row(group)} for group in sorted(groups, key=lambda group: group.key)]
    adding = insert(connection.dialect.name, table)
    new, old = adding.excluded, table.c
    newer = new.counted_at >= old.counted_at
    last = [name for name in rows[0] if name not in KEY and not name.endswith("_max")]
    changes: dict[str, Any] = {name: case((newer, new[name]), else_=old[name]) for name in last}
    for name in ("running_max", "total_max"):
        changes[name] = case((new[name] > old[name], new[name]), else_=old[name])
    connection.execute(adding.on_conflict_do_update(index_elements=list(KEY), set_=changes), rows)


def _row(group: WorkspaceGroup) -> dict[str, Any]:
    row = msgspec.structs.asdict(group)
    key = msgspec.structs.asdict(row.pop("key"))
    return {**key, **row, "running_max": group.running, "total_max": group.total}
