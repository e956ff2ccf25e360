"""Stored counts of workspaces -> the groups of a deployment over time, and of all deployments now."""

from __future__ import annotations

from sqlalchemy import Connection, Row, Select, and_, func, select

from collector.persist.history_tables import workspace_groups as table
from collector.rollup.snapshot import utc
from collector.wire.errors import InvalidInput, Validation
from collector.wire.workspace_groups import GroupHistory, GroupKey, GroupPoint, WorkspaceGroup

MAX_POINTS = 5_000
CURRENT_MS = 3_600_000  # what has not been counted for so long is not told as what there is
MOST_CURRENT = 400  # groups of all deployments: metric labels are made of them

_STATES = ("pending", "building", "running", "failed", "stopped", "total")


def group_history(connection: Connection, deployment: str, *, since: int, until: int) -> GroupHistory:
    """Every group of ``deployment`` in each hour that begins within ``[since, until)``, in ms, or holds ``since``.

    Raises:
        InvalidInput: the span is empty, or has more than ``MAX_POINTS`` points.
    """
    if not since < until:
        raise InvalidInput("The span cannot be used.", validations=(Validation("from", "must be before to"),))
    columns = table.c
    within = (columns.deployment == deployment, columns.at >= since - since % 3_600_000, columns.at < until)
    found = select(table).where(*within).order_by(columns.at, columns.organization, columns.template, columns.prebuilt)
    rows = connection.execute(found.limit(MAX_POINTS + 1)).all()
    if len(rows) > MAX_POINTS:
        detail = f"must leave at most {MAX_POINTS:,} points: take a shorter span"
        raise InvalidInput("There are too many groups.", validations=(Validation("from", detail),))
    return GroupHistory(deployment, [_point(row) for row in rows])


def current_groups(connection: Connection, *, now: int, most: int = MOST_CURRENT) -> list[tuple[str, WorkspaceGroup]]:
    """By deployment the groups of its newest count, those of the last hour, at most ``most``; the largest first."""
    columns = table.c
    order = columns.deployment, columns.organization, columns.template, columns.prebuilt
    found = _current(now).order_by(columns.total.desc(), *order).limit(most)
    return [(row.deployment, _group(row)) for row in connection.execute(found)]


def current_groups_in_all(connection: Connection, *, now: int) -> int:
    """How many there are, told or not."""
    return connection.scalar(select(func.count()).select_from(_current(now).subquery())) or 0


def _current(now: int) -> Select[tuple[object, ...]]:
    columns = table.c
    recent = and_(columns.at >= now - 2 * CURRENT_MS, columns.counted_at >= now - CURRENT_MS)
    newest = select(columns.deployment, func.max(columns.counted_at).label("last")).where(recent).group_by(columns.deployment)
    last = newest.subquery()
    is_newest = and_(columns.deployment == last.c.deployment, columns.counted_at == last.c.last)
    return select(table).join(last, is_newest).where(recent)


def _group(row: Row[tuple[object, ...]]) -> WorkspaceGroup:
    key = GroupKey(row.organization, row.template, row.prebuilt)
    return WorkspaceGroup(key, *(getattr(row, state) for state in _STATES))


def _point(row: Row[tuple[object, ...]]) -> GroupPoint:
    counts = {name: getattr(row, name) for name in (*_STATES, "running_max", "total_max")}
    return GroupPoint(
        at=utc(row.at),
        counted_at=utc(row.counted_at),
        organization=row.organization,
        template=row.template,
        prebuilt=row.prebuilt,
        **counts,
    )
