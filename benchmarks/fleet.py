"""What a busy organisation has brought within a quarter of an hour: 10,000 agents with a workspace each, 5,000 violations.

Beside them 40 projects with reports of every directive: each is a series of its own.
"""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

from collector.wire.csp import DIRECTIVES
from tests.inside import Inside

AGENTS, VIOLATIONS, AT_ONCE = 10_000, 5_000, 500
TEMPLATES, PROJECTS = 20, 40


async def fill(collector: Inside) -> None:
    """Send all of it, through the intake."""
    ids = [str(uuid.UUID(int=number)) for number in range(AGENTS)]
    for start in range(0, AGENTS, AT_ONCE):
        some = range(start, start + AT_ONCE)
        await _post(collector, "/api/v2/ingest/agent-stats", [_agent(number, ids[number]) for number in some])
        await _post(collector, "/api/v2/ingest/workspaces", [_workspace(number, ids[number]) for number in some])
    for start in range(0, VIOLATIONS, AT_ONCE):
        reports = [_report(number) for number in range(start, start + AT_ONCE)]
        status, answer = await collector.post(collector.csp_path, json.dumps(reports))
        assert status == 200, answer
    for number in range(PROJECTS):
        await _fill_project(collector, f"project-{number}")


async def _fill_project(collector: Inside, name: str) -> None:
    made = await collector.post("/api/v2/projects", json.dumps({"name": name}), **collector.owner)
    assert made[0] == 201, made
    path = f"/csp/reports?key={made[1]['browser_keys'][0]}"
    every = itertools.product(sorted(DIRECTIVES), ("enforce", "report"), ("https://cdn.example", "chrome-extension://a"))
    reports = [_report(0, directive, disposition, origin) for directive, disposition, origin in every]
    status, answer = await collector.post(path, json.dumps(reports))
    assert status == 200, answer


async def _post(collector: Inside, path: str, rows: list[dict[str, Any]]) -> None:
    status, answer = await collector.post(path, json.dumps(rows), **collector.feed)
    assert (status, answer["accepted"]) == (200, len(rows)), answer


def _agent(number: int, id_: str) -> dict[str, Any]:
    names = {"agent_name": "main", "workspace_name": f"workspace-{number}", "username": f"user-{number // 2}"}
    ids = {"agent_id": id_, "workspace_id": id_, "user_id": f"user-{number // 2}", "template_id": f"t{number % TEMPLATES}"}
    stats = {"connection_count": 3, "connection_median_latency_ms": 12.5, "rx_bytes": number, "tx_bytes": number}
    used = {"session_count_vscode": number % 3, "session_count_ssh": number % 2}
    return {**ids, **names, "template_name": f"template-{number % TEMPLATES}", "stats": stats | used}


def _workspace(number: int, id_: str) -> dict[str, Any]:
    job = {"started_at": "2026-01-14T09:58:00Z", "completed_at": "2026-01-14T09:59:00Z"}
    build = {"build_number": 1, "transition": "start", "job": job}
    ids = {"id": id_, "owner_id": f"user-{number // 2}", "template_id": f"t{number % TEMPLATES}"}
    return {**ids, "name": f"workspace-{number}", "deleted": False, "latest_build": build}


def _report(number: int, directive: str = "script-src-elem", disposition: str = "enforce", origin: str = "") -> dict[str, Any]:
    blocked = {"blockedURL": f"{origin or f'https://cdn-{number}.example'}/lib.js", "effectiveDirective": directive}
    about = {"documentURL": "https://shop.example/cart", "disposition": disposition, "statusCode": 200}
    return {"type": "csp-violation", "age": 1, "url": "https://shop.example/cart", "body": blocked | about}
