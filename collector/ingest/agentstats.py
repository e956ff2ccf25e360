"""POST /api/v2/ingest/agent-stats: what agents report, in arrays."""

from __future__ import annotations

from aiohttp import web

from collector.http.operation import Operation
from collector.ingest import intake
from collector.normalize.agentstats import agent_reports
from collector.wire.agentstats import AgentStatsRow
from collector.wire.records import Refusal, Taken

COLLECTED: web.AppKey[bool] = web.AppKey("collected", bool)  # CODER_STATS_COLLECTION_USAGE_STATS_ENABLE
NOT_COLLECTED = "usage statistics are not collected here"


@Operation(answer=Taken, body=list[AgentStatsRow])
async def post_agent_stats(request: web.Request) -> web.Response:
    """Store agent reports; a repeated ``id`` is accepted and counts once. Where none are collected each is rejected."""
    return await intake.take(request, agent_reports if request.app[COLLECTED] else _not_collected)


def _not_collected(body: bytes, *, deployment: str, received_at: int) -> intake.Decoded:
    """Every row as a refusal, those that would be one anyway with their own words: what is accepted is what is stored."""
    records, refusals = agent_reports(body, deployment=deployment, received_at=received_at)
    return (), [*refusals, *(Refusal(index, NOT_COLLECTED) for index, _ in records)]
