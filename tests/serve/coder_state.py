"""A deployment that has something to say under each of Coder's names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from collector.http.appkeys import AGENT_METRICS, NOW
from collector.serve.coder_families import Wanted
from collector.upkeep import forward
from tests.aibridge import SERVER_JSON, line
from tests.ingest.test_own_report import REPORT, new_agent, report
from tests.inside import Inside

ALL = ("agent_name", "template_name", "username", "workspace_name")
# What agents send of themselves, as the real ones call it.
SENT = [
    {
        "name": "coderd_agentstats_currently_reachable_peers",
        "type": "gauge",
        "value": 1,
        "labels": [{"name": "connection_type", "value": "p2p"}],
    },
    {
        "name": "coderd_agentstats_startup_script_seconds",
        "type": "gauge",
        "value": 2.5,
        "labels": [{"name": "success", "value": "true"}],
    },
    {
        "name": "agent_scripts_executed_total",
        "type": "counter",
        "value": 1,
        "labels": [{"name": "success", "value": "true"}],
    },
]


def workspace(number: int, transition: str, **job: str) -> dict[str, Any]:
    """A workspace of grace's whose newest build has ended, as POST /ingest/workspaces takes it."""
    times = {"started_at": "2026-01-14T09:58:00Z", "completed_at": "2026-01-14T09:59:00Z"}
    build = {"build_number": 1, "transition": transition, "job": {**times, **job}}
    ids = {"id": f"w{number}", "owner_id": "grace", "template_id": "docker"}
    return {**ids, "name": f"billing-{number}", "deleted": False, "latest_build": build}


WORKSPACES = [
    workspace(0, "start"),
    workspace(1, "start", error="exit status 1"),
    workspace(2, "stop"),
    workspace(3, "start", canceled_at="2026-01-14T09:58:30Z"),
    workspace(4, "delete"),
]


def aibridge_log(now: int) -> bytes:
    """A log of the day before ``now`` (ms), with a call of a tool that the gateway runs beside what a log has in any case."""
    log = SERVER_JSON + line("tool_usage", tool="search", injected=True, server_url="https://mcp.example/").encode()
    return log.replace(b"2026-01-13", datetime.fromtimestamp(now / 1000 - 86_400, UTC).strftime("%Y-%m-%d").encode())


async def everything_of_coder(inside: Inside) -> None:
    """Have an agent report, builds end, a model be asked, and the metrics made of that."""
    token = (await new_agent(inside))["token"]
    assert (await report(inside, token, {**REPORT, "metrics": SENT}))[0] == 200
    assert (await inside.post("/api/v2/ingest/workspaces", json.dumps(WORKSPACES), **inside.feed))[0] == 200
    assert (await inside.post("/api/v2/ingest/aibridge", aibridge_log(inside.app[NOW]()), **inside.feed))[0] == 200
    assert inside.app[AGENT_METRICS].current(inside.app[NOW]())
    await forwarded(inside)
    await inside.roll_up()


async def forwarded(inside: Inside) -> None:
    """Let the exporter serve what agents have sent of themselves so far, without waiting for its turn."""
    await forward(inside.app, Wanted(agent_stats=True, by=ALL))
