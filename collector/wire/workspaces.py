"""What a workspace looks like on the wire: one row of the array that POST /ingest/workspaces takes."""

from __future__ import annotations

from typing import Literal

import msgspec

from collector.wire.fields import Count, Id, Timestamp


class JobRow(msgspec.Struct, frozen=True, gc=False):
    """The provisioner job's raw columns, which the five workspace counts go by. An empty error is none."""

    started_at: Timestamp | None = None
    canceled_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    error: str | None = None


class BuildRow(msgspec.Struct, frozen=True, gc=False):
    """One build of a workspace; without a job it is pending."""

    build_number: Count
    transition: Literal["start", "stop", "delete"]
    created_at: Timestamp | None = None
    job: JobRow | None = None


class WorkspaceRow(msgspec.Struct, frozen=True, gc=False):
    """A workspace and its newest build, null before the first."""

    id: Id
    name: str
    owner_id: Id
    template_id: Id
    deleted: bool
    latest_build: BuildRow | None = None
