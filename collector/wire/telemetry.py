"""What a Coder server sends as telemetry, as far as it is kept. Every other key is skipped, unread.

Licences, mail addresses, hashes of them, IP addresses, job errors and session keys have no field here, so nothing can store
them. The lists of a telemetry snapshot stay raw until ``normalize/telemetry.py`` judges their elements one by one.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from collector.wire.fields import Count, Id, Timestamp

# Coder's own ids, in the one spelling that Go gives them: nothing else can hide in a field of this type.
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)")]

Rows = list[msgspec.Raw] | None  # null: not part of this message; []: asked for, and there is none


class UserRow(msgspec.Struct, frozen=True, gc=False):
    """A user that is neither deleted nor the system's."""

    id: Uuid
    created_at: Timestamp | None = None
    rbac_roles: list[str] | None = None
    status: str | None = None
    login_type: str | None = None


class TemplateRow(msgspec.Struct, frozen=True, gc=False):
    """A template."""

    id: Uuid
    name: str
    organization_id: Uuid
    created_by: Uuid | None = None
    created_at: Timestamp | None = None
    active_version_id: Uuid | None = None
    deleted: bool = False
    deprecated: bool = False


class WorkspaceRow(msgspec.Struct, frozen=True, gc=False):
    """A workspace; one that is missing in a full list was deleted."""

    id: Uuid
    name: str
    organization_id: Uuid
    owner_id: Uuid
    template_id: Uuid
    created_at: Timestamp | None = None
    deleted: bool = False
    automatic_updates: str | None = None


class BuildRow(msgspec.Struct, frozen=True, gc=False):
    """A build of a workspace. It says neither transition nor state: those are its job's and its job's resources'."""

    id: Uuid
    workspace_id: Uuid
    job_id: Uuid
    build_number: Count
    template_version_id: Uuid | None = None
    created_at: Timestamp | None = None


class JobRow(msgspec.Struct, frozen=True, gc=False):
    """A provisioner job of any type. Its error is only told apart from none: it may quote anything."""

    id: Uuid
    type: str
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    started_at: Timestamp | None = None
    canceled_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    error: str | None = None


class ProvisionedRow(msgspec.Struct, frozen=True, gc=False):
    """A resource or a module that a job made: the only place where a transition is written."""

    job_id: Uuid
    transition: str


class AgentStatsRow(msgspec.Struct, frozen=True, gc=False):
    """One agent's use within the last hour."""

    agent_id: Uuid
    aggregated_from: Timestamp | None = None
    rx_bytes: Count = 0
    tx_bytes: Count = 0
    connection_latency_50: float = -1.0  # ms, like the next
    connection_latency_95: float = -1.0
    session_count_vscode: Count = 0
    session_count_jetbrains: Count = 0
    session_count_reconnecting_pty: Count = 0
    session_count_ssh: Count = 0


class ProxyRow(msgspec.Struct, frozen=True, gc=False):
    """A workspace proxy."""

    id: Uuid
    name: str
    display_name: str = ""
    derp_enabled: bool = False
    derp_only: bool = False
    created_at: Timestamp | None = None


class OrganizationRow(msgspec.Struct, frozen=True, gc=False):
    """An organization; Coder does not send its name."""

    id: Uuid
    is_default: bool = False
    created_at: Timestamp | None = None


class TelemetrySnapshot(msgspec.Struct, frozen=True):
    """The body of POST /snapshot. It is full when ``organizations`` is not null: no partial one sends that."""

    deployment_id: Id
    users: Rows = None
    templates: Rows = None
    workspaces: Rows = None
    workspace_build: Rows = None  # singular on the wire
    provisioner_jobs: Rows = None
    workspace_resources: Rows = None
    workspace_modules: Rows = None
    workspace_agent_stats: Rows = None
    workspace_proxies: Rows = None
    organizations: Rows = None


class TelemetryDeployment(msgspec.Struct, frozen=True):
    """The body of POST /deployment: the host that one replica of the server runs on."""

    id: Id
    machine_id: str = ""
    architecture: str = ""
    os_type: str = ""
    os_name: str = ""
    os_version: str = ""
    install_source: str = ""
    kubernetes: bool = False
    cpu_cores: Count = 0
    memory_total: Annotated[int, Meta(ge=0)] = 0  # bytes; an uint64
    started_at: Timestamp | None = None
    shutdown_at: Timestamp | None = None
