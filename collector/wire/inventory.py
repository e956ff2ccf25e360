"""The canonical records that telemetry becomes. Times are integer milliseconds since the epoch, UTC."""

from __future__ import annotations

import enum

import msgspec

from collector.wire.deployment import SessionCounts


class InventoryKind(enum.StrEnum):
    """What the inventory of a deployment holds, builds aside."""

    USER = "user"
    TEMPLATE = "template"
    WORKSPACE = "workspace"
    PROXY = "proxy"
    ORGANIZATION = "organization"


class UserFacts(msgspec.Struct, frozen=True):
    """What may change about a user."""

    rbac_roles: tuple[str, ...]
    status: str | None
    login_type: str | None


class TemplateFacts(msgspec.Struct, frozen=True):
    """What may change about a template."""

    organization_id: str
    active_version_id: str | None
    deprecated: bool


class WorkspaceFacts(msgspec.Struct, frozen=True):
    """What may change about a workspace."""

    organization_id: str
    template_id: str
    automatic_updates: str | None


class ProxyFacts(msgspec.Struct, frozen=True):
    """What may change about a workspace proxy."""

    display_name: str | None
    derp_enabled: bool
    derp_only: bool


class OrganizationFacts(msgspec.Struct, frozen=True):
    """What may change about an organization."""

    is_default: bool


class Item(msgspec.Struct, frozen=True):
    """One thing of the inventory as a message shows it. ``user_id`` is the one user it says something about."""

    kind: InventoryKind
    id: str
    created_at: int | None
    name: str | None
    user_id: str | None
    facts: str  # the JSON of its kind's facts
    deleted: bool = False


class Build(msgspec.Struct, frozen=True, gc=False):
    """A build of a workspace, which never changes."""

    id: str
    workspace_id: str
    build_number: int
    job_id: str
    template_version_id: str | None
    created_at: int | None


class BuildJob(msgspec.Struct, frozen=True, gc=False):
    """A build's provisioner job as of ``updated_at``."""

    id: str
    updated_at: int
    started_at: int | None
    canceled_at: int | None
    completed_at: int | None
    failed: bool


class TelemetryUse(msgspec.Struct, frozen=True):
    """Use of a deployment's agents within the hour before a full snapshot; latency in ms, -1: none was seen."""

    aggregated_from: int
    rx_bytes: int
    tx_bytes: int
    latency_p50_ms: float
    latency_p95_ms: float
    sessions: SessionCounts


class TelemetryIntake(msgspec.Struct, frozen=True):
    """All that is kept of one telemetry snapshot, stored whole or not at all.

    ``complete`` names the kinds of which ``items`` holds every one that exists. ``horizon`` is the newest time that the
    message speaks of: what was made later, it cannot know. ``use`` is None in a partial snapshot.
    """

    deployment: str
    received_at: int
    full: bool
    items: tuple[Item, ...]
    complete: frozenset[InventoryKind]
    horizon: int
    builds: tuple[Build, ...]
    jobs: tuple[BuildJob, ...]
    transitions: tuple[tuple[str, str], ...]  # id of a job, and its start, stop or delete
    use: TelemetryUse | None

    @property
    def rows(self) -> int:
        """How many rows it may write."""
        return len(self.items) + len(self.builds) + len(self.jobs) + len(self.transitions)


class TelemetryServer(msgspec.Struct, frozen=True):
    """One replica of a Coder server. Keyed by (deployment, machine_id)."""

    deployment: str
    received_at: int
    machine_id: str
    version: str | None
    architecture: str | None
    os_type: str | None
    os_name: str | None
    os_version: str | None
    install_source: str | None
    kubernetes: bool
    cpu_cores: int
    memory_total: int
    started_at: int | None
    shutdown_at: int | None
