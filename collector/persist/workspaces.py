"""Workspaces -> rows: one a workspace, with its newest build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, case, or_

from collector.persist import build_totals
from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import workspaces as table
from collector.wire.records import Workspace, WorkspaceBuild

_BUILD = (
    "build_number",
    "transition",
    "build_created_at",
    "job_started_at",
    "job_canceled_at",
    "job_completed_at",
    "job_error",
)
_ABOUT = ("name", "owner_id", "template_id", "deleted", "updated_at")
_NO_BUILD = dict.fromkeys(_BUILD)


def store(connection: Connection, workspaces: Sequence[Workspace]) -> None:
    """Upsert ``workspaces`` in order, by (deployment, id).

    A build older than the known one leaves its whole row alone; an equal or a newer one replaces it. Without a build,
    name, owner, template and deleted are replaced and the known build is kept. A build that has ended is counted once.
    """
    if not workspaces:
        return
    # Sorted by key, because two PostgreSQL writers that lock rows crosswise deadlock; the sort is stable and executemany
    # runs row by row, so several messages about one workspace keep their order.
    ordered = sorted(workspaces, key=lambda workspace: (workspace.deployment, workspace.id))
    ended = build_totals.newly_ended(connection, ordered)
    WORKSPACE.execute_many(connection, [_row(workspace) for workspace in ordered])
    build_totals.add(connection, ended)


def _row(workspace: Workspace) -> dict[str, Any]:
    return {
        "deployment": workspace.deployment,
        "id": workspace.id,
        "name": workspace.name,
        "owner_id": workspace.owner_id,
        "template_id": workspace.template_id,
        "deleted": workspace.deleted,
        "updated_at": workspace.received_at,
        **(_NO_BUILD if workspace.latest_build is None else _build(workspace.latest_build)),
    }


def _build(build: WorkspaceBuild) -> dict[str, Any]:
    return {
        "build_number": build.build_number,
        "transition": build.transition,
        "build_created_at": build.created_at,
        "job_started_at": build.job_started_at,
        "job_canceled_at": build.job_canceled_at,
        "job_completed_at": build.job_completed_at,
        "job_error": build.job_error,
    }


def _upsert(dialect: str) -> Insert:
    statement = insert(dialect, table)
    new = statement.excluded
    without_build = new.build_number.is_(None)
    changes: dict[str, Any] = {name: new[name] for name in _ABOUT}
    changes |= {name: case((without_build, table.c[name]), else_=new[name]) for name in _BUILD}
    upsert: Insert = statement.on_conflict_do_update(
        index_elements=["deployment", "id"],
        set_=changes,
        where=or_(without_build, table.c.build_number.is_(None), new.build_number >= table.c.build_number),
    )
    return upsert


WORKSPACE = Statement(_upsert)
