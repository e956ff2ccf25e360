"""What a Coder server answers about itself, as far as it is read: unknown keys are passed over, newer servers have more."""

from __future__ import annotations

import msgspec

from collector.wire.fields import Count, Id, Timestamp


class LatencyRow(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds; the server writes the keys capital, its documentation small."""

    p50: float | None = None
    p95: float | None = None
    live_p50: float | None = msgspec.field(name="P50", default=None)
    live_p95: float | None = msgspec.field(name="P95", default=None)


class WorkspacesRow(msgspec.Struct, frozen=True):
    """Workspaces by state, and what their agents moved within the window."""

    pending: Count
    building: Count
    running: Count
    failed: Count
    stopped: Count
    connection_latency_ms: LatencyRow = LatencyRow()
    rx_bytes: Count = 0
    tx_bytes: Count = 0


class SessionsRow(msgspec.Struct, frozen=True):
    """Open sessions by kind of client."""

    vscode: Count = 0
    ssh: Count = 0
    jetbrains: Count = 0
    reconnecting_pty: Count = 0


class StatsRow(msgspec.Struct, frozen=True):
    """The answer of /api/v2/deployment/stats."""

    aggregated_from: Timestamp
    collected_at: Timestamp
    next_update_at: Timestamp
    workspaces: WorkspacesRow
    session_count: SessionsRow = SessionsRow()


class BuildInfoRow(msgspec.Struct, frozen=True):
    """The answer of /api/v2/buildinfo."""

    deployment_id: Id
    version: str = ""


class UpstreamStats(msgspec.Struct, frozen=True):
    """One snapshot as a server gave it. Times are milliseconds since the epoch, latencies milliseconds; -1: none seen."""

    aggregated_from: int
    collected_at: int
    next_update_at: int
    latency_p50_ms: float
    latency_p95_ms: float
    workspaces: WorkspacesRow
    sessions: SessionsRow


class UpstreamBuild(msgspec.Struct, frozen=True):
    """Which deployment a server belongs to, a UUID, and what it runs."""

    deployment: str
    version: str
