"""Agent reports: the bodies of POST /ingest/agent-stats and of what an agent posts of itself -> records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from collector.normalize.rows import judged, milliseconds, name
from collector.wire.agentstats import AgentMetric, AgentStatsRow, OwnStats, Stats
from collector.wire.errors import InvalidReport
from collector.wire.identity import Agent
from collector.wire.records import AgentReport, Refusal

_ROW = msgspec.json.Decoder(AgentStatsRow)
_OWN = msgspec.json.Decoder(OwnStats)
_METRIC = msgspec.json.Decoder(AgentMetric)


def agent_reports(body: bytes, *, deployment: str, received_at: int) -> tuple[list[tuple[int, AgentReport]], list[Refusal]]:
    """The reports of one body, each beside its index there, and the rows that were refused, each naming its field.

    Raises:
        InvalidReport: the body is not a JSON array.
        TooLarge: the array has more than 10,000 rows.
    """

    def report(row: AgentStatsRow) -> AgentReport:
        whose = Agent(
            agent_id=row.agent_id,
            deployment=deployment,
            workspace_id=row.workspace_id,
            user_id=row.user_id,
            template_id=row.template_id,
            agent_name=name(row.agent_name),
            workspace_name=name(row.workspace_name),
            username=name(row.username),
            template_name=name(row.template_name),
        )
        return _report(whose, row.stats, received_at, report_id=row.id, collected_at=milliseconds(row.collected_at))

    return judged(body, _ROW, report)


def own_report(body: bytes, agent: Agent, *, received_at: int) -> tuple[AgentReport | None, list[AgentMetric]]:
    """The report that ``agent`` sends of itself, None when it only asks for the interval, and its metrics.

    A metric that cannot be read is left out.

    Raises:
        InvalidReport: the body is none.
    """
    try:
        sent = _OWN.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidReport("The body is no agent report.", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidReport("The body is not valid JSON.") from error
    if sent.connections_by_proto is None:
        return None, []
    return _report(agent, sent, received_at, report_id=None, collected_at=None), list(_metrics(sent.metrics or []))


def _metrics(rows: list[msgspec.Raw]) -> Iterator[AgentMetric]:
    for row in rows:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            yield _METRIC.decode(row)


def _report(whose: Agent, stats: Stats, received_at: int, *, report_id: str | None, collected_at: int | None) -> AgentReport:
    return AgentReport(
        deployment=whose.deployment,
        received_at=received_at,
        agent_id=whose.agent_id,
        workspace_id=whose.workspace_id,
        user_id=whose.user_id,
        template_id=whose.template_id,
        report_id=report_id,
        collected_at=collected_at,
        agent_name=whose.agent_name,
        workspace_name=whose.workspace_name,
        username=whose.username,
        template_name=whose.template_name,
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
