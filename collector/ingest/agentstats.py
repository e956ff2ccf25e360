"""POST /api/v2/ingest/agent-stats: what agents report, in arrays; and the path where an agent reports by itself."""

from __future__ import annotations

import msgspec
from aiohttp import web

from collector.http import body
from collector.http.appkeys import AGENT_METRICS, NOW
from collector.http.errors import json_response
from collector.http.guard import CALLER
from collector.http.operation import Operation
from collector.ingest import intake
from collector.normalize.agentstats import agent_reports, own_report
from collector.wire.agentstats import AgentStatsRow, OwnStats, ReportInterval
from collector.wire.errors import InvalidReport, TooLarge
from collector.wire.identity import Agent
from collector.wire.records import AgentReport, Refusal, Taken

OWN_LIMIT = 1024 * 1024  # an agent has dozens of series, and each takes some hundred bytes
NS_PER_MS = 1_000_000

COLLECTED: web.AppKey[bool] = web.AppKey("collected", bool)  # CODER_STATS_COLLECTION_USAGE_STATS_ENABLE
INTERVAL_MS: web.AppKey[int] = web.AppKey("interval_ms", int)  # CODER_AGENT_STATS_REFRESH_INTERVAL
NOT_COLLECTED = "usage statistics are not collected here"


@Operation(answer=Taken, body=list[AgentStatsRow])
async def post_agent_stats(request: web.Request) -> web.Response:
    """Store agent reports; a repeated ``id`` is accepted and counts once. Where none are collected each is rejected."""
    return await intake.take(request, agent_reports if request.app[COLLECTED] else _not_collected)


@Operation(answer=ReportInterval, body=OwnStats, refuses=(InvalidReport, TooLarge))
async def post_report_stats(request: web.Request) -> web.Response:
    """Store the report of the agent that is calling, and tell it when to send the next one."""
    app, agent = request.app, request[CALLER]
    content = await body.read(request, limit=OWN_LIMIT)
    now = app[NOW]()
    if isinstance(agent, Agent) and content:
        report, metrics = own_report(content, agent, received_at=now)
        if report is not None:  # else it only asks for the interval, and what it sent before stands
            report = intake.storable(request, report)
            whose = msgspec.structs.replace(agent, user_id=report.user_id, username=report.username)
            app[AGENT_METRICS].put(whose, metrics, now=now)
            if app[COLLECTED]:
                await _store(request, report)
    return json_response(ReportInterval(app[INTERVAL_MS] * NS_PER_MS))


async def _store(request: web.Request, report: AgentReport) -> None:
    refusals = await intake.submit(request, request[CALLER], [report])
    if refusals:
        raise InvalidReport("The store does not take this report.", refusals[0].error)


def _not_collected(body: bytes, *, deployment: str, received_at: int) -> intake.Decoded:
    """Every row as a refusal, those that would be one anyway with their own words: what is accepted is what is stored."""
    records, refusals = agent_reports(body, deployment=deployment, received_at=received_at)
    return (), [*refusals, *(Refusal(index, NOT_COLLECTED) for index, _ in records)]
