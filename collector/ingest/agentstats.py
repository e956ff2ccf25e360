"""POST /api/v2/ingest/agent-stats: what agents report, in arrays."""

from __future__ import annotations

from aiohttp import web

from collector.ingest import intake
from collector.normalize.agentstats import agent_reports


async def post_agent_stats(request: web.Request) -> web.Response:
    """Store agent reports; a repeated ``id`` is accepted and counts once."""
    return await intake.take(request, agent_reports)
