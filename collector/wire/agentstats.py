"""What an agent's report looks like on the wire: one row of the array that POST /ingest/agent-stats takes."""

from __future__ import annotations

import msgspec

from collector.wire.fields import Count, Id, Timestamp


class Stats(msgspec.Struct, frozen=True, gc=False):
    """Coder's agent stats of one period. A number left out is 0, as in Go; a latency left out means no peer was reached.

    ``connections_by_proto`` and ``metrics`` may be sent, as by every key not named here; they are not read.
    """

    connection_count: Count = 0
    connection_median_latency_ms: float = -1.0  # an idle agent sends -0.001: Coder divides its -1 by 1,000
    rx_packets: Count = 0
    rx_bytes: Count = 0
    tx_packets: Count = 0
    tx_bytes: Count = 0
    session_count_vscode: Count = 0
    session_count_jetbrains: Count = 0
    session_count_reconnecting_pty: Count = 0
    session_count_ssh: Count = 0


class AgentMetric(msgspec.Struct, frozen=True, gc=False):
    """One series of an agent; its labels by name."""

    name: str
    type: str  # counter or gauge; what else may come is left out
    value: float
    labels: list[MetricLabel] | None = None


class MetricLabel(msgspec.Struct, frozen=True, gc=False):
    """One label of a series."""

    name: str = ""
    value: str = ""


class OwnStats(Stats, frozen=True, gc=False):
    """What an agent posts of itself. Without ``connections_by_proto`` it only asks for the interval."""

    connections_by_proto: dict[str, msgspec.Raw] | None = None
    metrics: list[msgspec.Raw] | None = None


class ReportInterval(msgspec.Struct, frozen=True):
    """The answer to it, in nanoseconds."""

    report_interval: int


class AgentStatsRow(msgspec.Struct, frozen=True, gc=False):
    """Whose report it is, and the report. ``id`` makes a repetition count once; ``collected_at`` is for display."""

    agent_id: Id
    workspace_id: Id
    user_id: Id
    template_id: Id
    stats: Stats
    id: Id | None = None
    collected_at: Timestamp | None = None
    agent_name: str | None = None
    workspace_name: str | None = None
    username: str | None = None
    template_name: str | None = None
