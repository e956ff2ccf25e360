"""Agent reports: the body of POST /ingest/agent-stats -> records."""

from __future__ import annotations

import msgspec

from collector.normalize.rows import judged, milliseconds, name
from collector.wire.agentstats import AgentStatsRow
from collector.wire.records import AgentReport, Refusal

_ROW = msgspec.json.Decoder(AgentStatsRow)


def agent_reports(body: bytes, *, deployment: str, received_at: int) -> tuple[list[tuple[int, AgentReport]], list[Refusal]]:
    """The reports of one body, each beside its index there, and the rows that were refused, each naming its field.

    Raises:
        InvalidReport: the body is not a JSON array.
        TooLarge: the array has more than 10,000 rows.
    """

    def report(row: AgentStatsRow) -> AgentReport:
        stats = row.stats
        return AgentReport(
            deployment=deployment,
            received_at=received_at,
            agent_id=row.agent_id,
            workspace_id=row.workspace_id,
            user_id=row.user_id,
            template_id=row.template_id,
            report_id=row.id,
            collected_at=milliseconds(row.collected_at),
            agent_name=name(row.agent_name),
            workspace_name=name(row.workspace_name),
            username=name(row.username),
            template_name=name(row.template_name),
            connection_count=stats.connection_count,
            connection_median_latency_ms=stats.connection_median_latency_ms,
            rx_packets=stats.rx_packets,
            rx_bytes=stats.rx_bytes,
            tx_packets=stats.tx_packets,
            tx_bytes=stats.tx_bytes,
            session_count_vscode=stats.session_count_vscode,
            session_count_jetbrains=stats.session_count_jetbrains,
            session_count_reconnecting_pty=stats.session_count_reconnecting_pty,
            session_count_ssh=stats.session_count_ssh,
        )

    return judged(body, _ROW, report)
