"""Records as normalize makes them, and their changes."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.wire.records import AgentReport, Workspace, WorkspaceBuild

NOW = 1_768_384_800_000  # 2026-01-14T10:00:00Z
DEPLOYMENT = "0d9d2b1c-5e0f-4bb8-a6a3-1f2f3b9a7c11"

_REPORT = AgentReport(
    deployment=DEPLOYMENT,
    received_at=NOW,
    agent_id="a1f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
    workspace_id="b2f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
    user_id="c3f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
    template_id="d4f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
    report_id=None,
    collected_at=None,
    agent_name="main",
    workspace_name="billing",
    username="grace",
    template_name="docker",
    connection_count=4,
    connection_median_latency_ms=-0.001,
    rx_packets=120,
    rx_bytes=0,
    tx_packets=300,
    tx_bytes=0,
    session_count_vscode=0,
    session_count_jetbrains=0,
    session_count_reconnecting_pty=0,
    session_count_ssh=0,
)


def agent_report(**changes: Any) -> AgentReport:
    """The report of an idle agent, received at ``NOW``, with ``changes``."""
    return msgspec.structs.replace(_REPORT, **changes)


def workspace(build: WorkspaceBuild | None = None, **changes: Any) -> Workspace:
    """A workspace named billing, received at ``NOW``, with ``build`` and ``changes``."""
    plain = Workspace(
        deployment=DEPLOYMENT,
        received_at=NOW,
        id="b2f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
        name="billing",
        owner_id="c3f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
        template_id="d4f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001",
        deleted=False,
        latest_build=build,
    )
    return msgspec.structs.replace(plain, **changes)
