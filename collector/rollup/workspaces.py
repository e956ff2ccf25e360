"""Workspaces -> how many are in which state, by the raw columns of their newest build's job."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, and_, false, func, or_, select

from collector.persist.tables import workspaces

_started, _canceled, _completed = workspaces.c.job_started_at, workspaces.c.job_canceled_at, workspaces.c.job_completed_at
_failure, _transition = workspaces.c.job_error, workspaces.c.transition

_done_well = and_(_completed.is_not(None), _canceled.is_(None), _failure.is_(None))

# Five independent conditions, as Coder counts. A workspace may meet none (its job was canceled and ended cleanly) or two
# (its job failed before it began), so they need not add up. Without a build every column is null: pending.
_STATES = {
    "pending": _started.is_(None),
    "building": and_(_started.is_not(None), _canceled.is_(None), _completed.is_(None)),
    "running": and_(_done_well, _transition == "start"),
    "failed": and_(_failure.is_not(None), or_(_canceled.is_not(None), _completed.is_not(None))),
    "stopped": and_(_done_well, _transition == "stop"),
}


class WorkspaceCounts(msgspec.Struct, frozen=True):
    """Workspaces that are not deleted, by the state of their newest build."""

    pending: int
    building: int
    running: int
    failed: int
    stopped: int


def workspace_counts(connection: Connection, deployment: str) -> WorkspaceCounts:
    """The counts of ``deployment`` now, which have no window of time."""
    counts = [func.count().filter(condition).label(state) for state, condition in _STATES.items()]
    live = and_(workspaces.c.deployment == deployment, workspaces.c.deleted == false())
    return WorkspaceCounts(**connection.execute(select(*counts).where(live)).mappings().one())
