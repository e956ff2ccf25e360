"""What the reads under /deployment answer: counts are JSON integers, times RFC 3339 UTC, -1 is no latency seen."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Literal

import msgspec

FieldKind = Literal["gauge", "window_sum", "percentile"]


class SshConfig(msgspec.Struct, frozen=True):
    """What clients write into an SSH configuration: how workspaces are called there, and further options by name."""

    hostname_prefix: str
    hostname_suffix: str
    ssh_config_options: dict[str, str]


class Source(enum.StrEnum):
    """What the numbers of a snapshot were made from. A closed list: it is a metric label."""

    REPORTS = "reports"  # agents and workspaces that report here
    UPSTREAM = "upstream"  # the Coder server's own stats, read from it
    TELEMETRY = "telemetry"  # what the Coder server sends of itself: an approximation


class SessionCounts(msgspec.Struct, frozen=True):
    """Open sessions by kind of client, each agent by its newest report."""

    vscode: int
    ssh: int
    jetbrains: int
    reconnecting_pty: int


class ConnectionLatency(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds over the reports that saw latency; whole numbers are integers, as Go prints them.

    The API page writes the keys small, the live server capital, and clients exist for both.
    """

    p50: int | float
    p95: int | float
    live_p50: int | float = msgspec.field(name="P50")
    live_p95: int | float = msgspec.field(name="P95")


class WorkspaceStats(msgspec.Struct, frozen=True):
    """Workspaces by the state of their newest build now, and what their agents moved within the window, in bytes."""

    pending: int
    building: int
    running: int
    failed: int
    stopped: int
    connection_latency_ms: ConnectionLatency
    rx_bytes: int
    tx_bytes: int


class DeploymentStats(msgspec.Struct, frozen=True):
    """One snapshot. The window of bytes, latency and sessions is from ``aggregated_from`` to ``collected_at``."""

    aggregated_from: datetime
    collected_at: datetime
    next_update_at: datetime
    workspaces: WorkspaceStats
    session_count: SessionCounts


class StatsPoint(msgspec.Struct, frozen=True):
    """One step of the history. ``stats`` is its last snapshot; a step without a snapshot is a gap, all null.

    ``min``, ``max`` and ``avg`` are over the step's snapshots, by the names in ``fields`` of the history: ``avg`` of
    gauges only; a percentile is null in a step that saw no latency. They are of one source, the most exact of the step.
    """

    at: datetime  # the step's begin
    samples: int  # snapshots in the step
    expected: int  # as many as there should be, at the interval of the last one before; a late one counts in the next step
    source: Source | None
    stats: DeploymentStats | None
    min: dict[str, int | float | None] | None
    max: dict[str, int | float | None] | None
    avg: dict[str, float] | None
    approximate: bool | None = None  # whether the source gives approximations only


class StatsHistory(msgspec.Struct, frozen=True):
    """Snapshots over time, one point a step, oldest first. The step is longer than asked for where time is known no finer.

    ``fields`` says what each number is. gauge: a state, which may be averaged. window_sum: a sum over a window that
    overlaps the next one's, never to be added up. percentile: never to be averaged.
    """

    deployment: str
    step_seconds: int
    points: list[StatsPoint]
    fields: dict[str, FieldKind]
