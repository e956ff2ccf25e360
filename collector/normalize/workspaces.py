"""Workspaces: the body of POST /ingest/workspaces -> records."""

from __future__ import annotations

import msgspec

from collector.normalize.rows import judged, line, milliseconds, name
from collector.wire.records import Refusal, Workspace, WorkspaceBuild
from collector.wire.workspaces import BuildRow, JobRow, WorkspaceRow

MAX_ERROR = 2_000

_ROW = msgspec.json.Decoder(WorkspaceRow)
_NO_JOB = JobRow()


def workspaces(body: bytes, *, deployment: str, received_at: int) -> tuple[list[tuple[int, Workspace]], list[Refusal]]:
    """The workspaces of one body, each beside its index there, and the rows that were refused, each naming its field.

    Raises:
        InvalidReport: the body is not a JSON array.
        TooLarge: the array has more than 10,000 rows.
    """

    def workspace(row: WorkspaceRow) -> Workspace:
        return Workspace(
            deployment=deployment,
            received_at=received_at,
            id=row.id,
            name=name(row.name) or row.id,
            owner_id=row.owner_id,
            template_id=row.template_id,
            deleted=row.deleted,
            latest_build=_build(row.latest_build),
        )

    return judged(body, _ROW, workspace)


def _build(row: BuildRow | None) -> WorkspaceBuild | None:
    if row is None:
        return None
    job = row.job or _NO_JOB
    return WorkspaceBuild(
        build_number=row.build_number,
        transition=row.transition,
        created_at=milliseconds(row.created_at),
        job_started_at=milliseconds(job.started_at),
        job_canceled_at=milliseconds(job.canceled_at),
        job_completed_at=milliseconds(job.completed_at),
        job_error=_error(job.error),
    )


def _error(text: str | None) -> str | None:
    """The job's error in one line. It decides whether the build counts as failed: one without a visible character stays one."""
    return (line(text, MAX_ERROR) or "error") if text else None
