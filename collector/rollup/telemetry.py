"""Telemetry -> the same numbers that reports give, as near as it comes to them."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, false, func, or_, select, true

from collector.persist.telemetry_tables import inventory, telemetry_builds, telemetry_jobs, telemetry_states
from collector.rollup.agentstats import AgentUse
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import SessionCounts
from collector.wire.inventory import InventoryKind

EVERY_MS = 30 * 60 * 1000  # how often a Coder server sends a full snapshot
# A job is repeated for an hour after it was made, and no longer. By then it is not known what became of it.
UNHEARD_MS = 2 * 3_600_000

_job, _build = telemetry_jobs.c, telemetry_builds.c
_seen_at = func.coalesce(_job.seen_at, _build.seen_at)
_failed = func.coalesce(_job.failed, false())

# Only a job that succeeded has resources, and the message that tells of them does not tell of the job.
_succeeded = and_(
    _job.canceled_at.is_(None), _failed == false(), or_(_job.completed_at.is_not(None), _job.transition.is_not(None))
)
_under_way = and_(_job.completed_at.is_(None), ~_succeeded)


class TelemetryState(NamedTuple):
    """A deployment as its telemetry tells of it. ``as_of`` is when that last changed or was confirmed, in ms."""

    as_of: int
    aggregated_from: int
    workspaces: WorkspaceCounts
    agents: AgentUse


def telemetry_state(connection: Connection, deployment: str, *, now: int) -> TelemetryState | None:
    """``deployment`` at ``now`` (ms); None without a message of it."""
    states = telemetry_states.c
    row = connection.execute(select(telemetry_states).where(states.deployment == deployment)).mappings().first()
    if row is None:
        return None
    counts, forgotten_at = _workspace_counts(connection, deployment, now)
    as_of = max(row["message_at"], forgotten_at)
    return TelemetryState(
        as_of=as_of,
        aggregated_from=min(row["aggregated_from"] or as_of, as_of),
        workspaces=counts,
        agents=AgentUse(
            rx_bytes=row["rx_bytes"],
            tx_bytes=row["tx_bytes"],
            latency_p50_ms=row["latency_p50_ms"],
            latency_p95_ms=row["latency_p95_ms"],
            sessions=SessionCounts(**{app: row[f"session_count_{app}"] for app in SessionCounts.__struct_fields__}),
        ),
    )


def _workspace_counts(connection: Connection, deployment: str, now: int) -> tuple[WorkspaceCounts, int]:
    """The counts by each live workspace's newest known build, and when the last job was given up, 0: none was.

    A workspace whose build was made before the first message is in none of them: nothing says what it does.
    """
    heard_of = _seen_at > now - UNHEARD_MS
    states = {
        "pending": and_(_job.started_at.is_(None), ~_succeeded, or_(~_under_way, heard_of)),
        "building": and_(_job.started_at.is_not(None), _job.canceled_at.is_(None), _under_way, heard_of),
        "running": and_(_succeeded, _job.transition == "start"),
        "failed": and_(_failed == true(), or_(_job.canceled_at.is_not(None), _job.completed_at.is_not(None))),
        "stopped": and_(_succeeded, _job.transition == "stop"),
    }
    counts = [func.count().filter(condition).label(state) for state, condition in states.items()]
    given_up = func.max(case((and_(_under_way, ~heard_of), _seen_at + UNHEARD_MS), else_=0)).label("given_up")
    row = connection.execute(_newest_builds(deployment, *counts, given_up)).mappings().one()
    return WorkspaceCounts(**{state: row[state] for state in states}), row["given_up"] or 0


def _newest_builds(deployment: str, *columns: ColumnElement[Any]) -> Select[Any]:
    newest = (
        select(_build.workspace_id, func.max(_build.build_number).label("build_number"))
        .where(_build.deployment == deployment)
        .group_by(_build.workspace_id)
        .subquery()
    )
    is_newest = and_(
        _build.deployment == deployment,
        _build.workspace_id == newest.c.workspace_id,
        _build.build_number == newest.c.build_number,
    )
    is_live = and_(
        inventory.c.deployment == deployment,
        inventory.c.kind == InventoryKind.WORKSPACE.value,
        inventory.c.id == newest.c.workspace_id,
        inventory.c.until.is_(None),
    )
    its_job = and_(_job.deployment == deployment, _job.id == _build.job_id)
    return (
        select(*columns)
        .select_from(newest)
        .join(inventory, is_live)
        .join(telemetry_builds, is_newest)
        .outerjoin(telemetry_jobs, its_job)
    )


def is_old_build() -> ColumnElement[bool]:
    """Whether a build says nothing of now: all but the newest of a workspace that still exists."""
    newer = telemetry_builds.alias("newer")
    same = (newer.c.deployment == _build.deployment, newer.c.workspace_id == _build.workspace_id)
    superseded = exists().where(*same, newer.c.build_number > _build.build_number)
    item = inventory.c
    named = (item.deployment == _build.deployment, item.id == _build.workspace_id)
    live = exists().where(*named, item.kind == InventoryKind.WORKSPACE.value, item.until.is_(None))
    return or_(superseded, ~live)


def is_job_of_no_build() -> ColumnElement[bool]:
    """Whether no build that is kept is of the job."""
    return ~exists().where(_build.deployment == _job.deployment, _build.job_id == _job.id)
