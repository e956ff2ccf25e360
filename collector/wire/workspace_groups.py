"""Workspaces of a Coder server counted by template, organization, and whether somebody has claimed them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from collector.wire.fields import Count, Id


# ── What a Coder server answers at /api/v2/workspaces, as far as it is read ─────────────────────────────────────────
class LatestBuildRow(msgspec.Struct, frozen=True):
    """The newest build; ``status`` is pending, starting, running, stopping, stopped, failed, or another."""

    status: str = ""


class WorkspaceRow(msgspec.Struct, frozen=True):
    """One workspace. Servers that know no ``is_prebuild`` have prebuilt ones belong to a user of their own."""

    id: Id
    owner_id: str = ""
    organization_id: str = ""
    organization_name: str = ""
    template_id: str = ""
    template_name: str = ""
    is_prebuild: bool | None = None
    latest_build: LatestBuildRow = LatestBuildRow()


class WorkspacesPage(msgspec.Struct, frozen=True):
    """One page of the workspaces that the user of the token sees; ``count`` is of all pages."""

    workspaces: list[WorkspaceRow] | None
    count: Count = 0


# ── What is kept of it ─────────────────────────────────────────────────────────────────────────────────────────────
class GroupKey(msgspec.Struct, frozen=True, order=True):
    """What the workspaces of a group have in common; both names are empty for all further groups together."""

    organization: str
    template: str
    prebuilt: bool  # made in advance and not claimed yet


class WorkspaceGroup(msgspec.Struct, frozen=True):
    """Workspaces by state. ``total`` also has those that are in none, as cancelled ones."""

    key: GroupKey
    pending: int
    building: int
    running: int
    failed: int
    stopped: int
    total: int


# ── What GET /api/v2/deployment/workspaces answers ─────────────────────────────────────────────────────────────────
class GroupPoint(msgspec.Struct, frozen=True):
    """A group in one hour: its last count, and the most that were counted."""

    at: datetime  # the hour's begin
    counted_at: datetime
    organization: str
    template: str
    prebuilt: bool
    pending: int
    building: int
    running: int
    failed: int
    stopped: int
    total: int
    running_max: int
    total_max: int


class GroupHistory(msgspec.Struct, frozen=True):
    """The groups of a deployment over time, oldest first; an hour without any has not been counted."""

    deployment: str
    points: list[GroupPoint]
