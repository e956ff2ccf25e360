"""What an organisation has brought within a quarter of an hour: agents with a workspace each, violations, and projects.

Each project has reports of every directive, which are a series each.
"""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any, NamedTuple

from collector.wire.csp import DIRECTIVES
from tests.inside import Inside

AT_ONCE, TEMPLATES = 500, 20


class Fleet(NamedTuple):
    """How many there are of each."""

    agents: int = 10_000
    violations: int = 5_000
    projects: int = 40


async def fill(collector: Inside, fleet: Fleet) -> None:
    """Send all of it, through the intake."""
    ids = [str(uuid.UUID(int=number)) for number in range(fleet.agents)]
    for start in range(0, fleet.agents, AT_ONCE):
        some = range(start, min(start + AT_ONCE, fleet.agents))
        await _post(collector, "/api/v2/ingest/agent-stats", [_agent(number, ids[number]) for number in some])
        await _post(collector, "/api/v2/ingest/workspaces", [_workspace(number, ids[number]) for number in some])
    for start in range(0, fleet.violations, AT_ONCE):
        reports = [_report(number) for number in range(start, min(start + AT_ONCE, fleet.violations))]
        status, answer = await collector.post(collector.csp_path, json.dumps(reports))
        assert status == 200, answer
    for number in range(fleet.projects):
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
