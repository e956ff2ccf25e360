"""Telemetry as a Coder server sends it, small: one workspace for each state, and what must never be stored."""

from __future__ import annotations

import base64
import json
from typing import Any

DEPLOYMENT = "7c1d9a52-4f0e-4a0b-9d53-5f1f0c6be001"
ORGANIZATION = "00000000-0000-4000-8000-0000000000a1"
TEMPLATE = "00000000-0000-4000-8000-0000000000a2"
OWNER = "00000000-0000-4000-8000-0000000000a3"

LICENCE = "eyJhbGciOiJFZERTQSJ9.eyJsaWNlbnNlIjoidGVzdCJ9.c2lnbmF0dXJl"
MAIL = "ada@corp.test"
ADDRESSES = ("198.51.100.23", "2001:db8::17")
PRIVATE = (LICENCE, MAIL, *ADDRESSES)

WHEN = "2026-01-20T09:00:00.123456Z"
STARTED = {"started_at": "2026-01-20T08:59:00.25Z"}
DONE = {**STARTED, "completed_at": "2026-01-20T09:01:00Z"}
CANCELED = {"canceled_at": "2026-01-20T09:00:30Z"}
BROKEN = {"error": f"terraform: dial {ADDRESSES[0]}: mail {MAIL}"}

# For each workspace: what is known of the newest build's job, and the transition of what it made.
STATES: tuple[tuple[dict[str, str], str | None], ...] = (
    ({}, None),  # pending
    (STARTED, None),  # building
    (DONE, "start"),  # running
    (DONE, "start"),  # running
    ({**DONE, **BROKEN}, None),  # failed
    (DONE, "stop"),  # stopped
    ({**DONE, **CANCELED}, None),  # canceled: in none
)
COUNTS = {"pending": 1, "building": 1, "running": 2, "failed": 1, "stopped": 1}

LISTS = (
    *("api_keys", "cli_invocations", "licenses", "provisioner_jobs", "template_versions", "templates", "users", "groups"),
    *("workspace_agent_stats", "workspace_agents", "workspace_apps", "workspace_build", "workspace_proxies"),
    *("workspace_resources", "workspace_modules", "workspaces", "organizations", "telemetry_items"),
)


def uid(kind: int, number: int) -> str:
    """The id of the ``number``-th thing of a kind."""
    return f"00000000-0000-4000-8000-{kind:04d}{number:08d}"


def workspace(number: int, **changes: Any) -> dict[str, Any]:
    """A workspace."""
    row = {
        "id": uid(1, number),
        "organization_id": ORGANIZATION,
        "owner_id": OWNER,
        "template_id": TEMPLATE,
        "created_at": "2026-01-20T08:00:00Z",
        "deleted": False,
        "name": f"space-{number}",
        "autostart_schedule": "",
        "automatic_updates": "never",
    }
    return row | changes


def build(number: int, **changes: Any) -> dict[str, Any]:
    """The build of the ``number``-th workspace."""
    row = {
        "id": uid(2, number),
        "created_at": WHEN,
        "workspace_id": uid(1, number),
        "template_version_id": uid(5, 1),
        "job_id": uid(3, number),
        "build_number": 1,
        "has_ai_task": None,
    }
    return row | changes


def job(number: int, **state: Any) -> dict[str, Any]:
    """The job of the ``number``-th workspace's build; a time that is none has no key."""
    row = {
        "id": uid(3, number),
        "organization_id": ORGANIZATION,
        "initiator_id": OWNER,
        "created_at": WHEN,
        "updated_at": WHEN,
        "error": "",
        "type": "workspace_build",
    }
    return row | state


def resource(number: int, transition: str, **changes: Any) -> dict[str, Any]:
    """What the job of the ``number``-th workspace's build made."""
    row = {"id": uid(4, number), "created_at": WHEN, "job_id": uid(3, number), "transition": transition, "type": "docker"}
    return row | changes


def agent_use(number: int, **changes: Any) -> dict[str, Any]:
    """What the agent of the ``number``-th workspace did within the hour."""
    row = {
        "user_id": OWNER,
        "template_id": TEMPLATE,
        "workspace_id": uid(1, number),
        "aggregated_from": "2026-01-20T08:13:00.00001Z",
        "agent_id": uid(6, number),
        "rx_bytes": 100,
        "tx_bytes": 200,
        "connection_latency_50": 10.0,
        "connection_latency_95": 40.0,
        "session_count_vscode": 1,
        "session_count_jetbrains": 0,
        "session_count_reconnecting_pty": 2,
        "session_count_ssh": 3,
    }
    return row | changes


def partial_snapshot(**lists: Any) -> bytes:
    """A partial snapshot: every other list is null."""
    return json.dumps({"deployment_id": DEPLOYMENT, **dict.fromkeys(LISTS), "unheard_of": {"a": [1]}, **lists}).encode()


def full_snapshot(**lists: Any) -> bytes:
    """A full snapshot of a workspace for each state; ``lists`` replace some."""
    numbers = range(len(STATES))
    whole: dict[str, Any] = {
        "api_keys": [{"id": "Ex4mpleKey", "user_id": OWNER, "ip_address": ADDRESSES[0]}],
        "licenses": [{"jwt": LICENCE, "uuid": uid(9, 1), "email": MAIL, "trial": False}],
        "users": [_user()],
        "templates": [_template()],
        "workspace_proxies": [{"id": uid(7, 1), "name": f"proxy {ADDRESSES[0]}", "display_name": ADDRESSES[1]}],
        "organizations": [{"id": ORGANIZATION, "is_default": True, "created_at": "2025-11-11T22:20:00Z"}],
        "workspaces": [workspace(number) for number in numbers],
        "workspace_build": [build(number) for number in numbers],
        "provisioner_jobs": [*(job(number, **STATES[number][0]) for number in numbers), _import_job()],
        "workspace_resources": [
            *(resource(number, made) for number, (_, made) in enumerate(STATES) if made),
            # A template's import makes resources of both kinds under one job.
            *(resource(99, made, id=uid(4, 100 + at)) for at, made in enumerate(("start", "stop"))),
        ],
        "workspace_agent_stats": [agent_use(2), agent_use(3, connection_latency_50=20.0)],
        "workspace_modules": [],
        "workspace_agents": [],
    }
    return partial_snapshot(**(whole | lists))


def deployment(**changes: Any) -> bytes:
    """The body of POST /deployment."""
    row = {
        "id": DEPLOYMENT,
        "architecture": "x86_64",
        "config": {"access_url": f"http://{ADDRESSES[0]}", "agent_stat_refresh_interval": 30_000_000_000},
        "kubernetes": True,
        "os_type": "linux",
        "cpu_cores": 8,
        "memory_total": 16_763_912_192,
        "machine_id": "0123456789abcdef0123456789abcdef",
        "started_at": "2026-01-20T08:15:00.654321Z",
        "shutdown_at": None,
    }
    return json.dumps(row | changes).encode()


def headers(key: str) -> dict[str, str]:
    """All the headers that a Coder server sends with the key in its CODER_TELEMETRY_URL."""
    basic = base64.b64encode(f"coder:{key}".encode()).decode()
    return {"Authorization": f"Basic {basic}", "X-Coder-Version": "v2.30.0", "User-Agent": "Go-http-client/1.1"}


def _user() -> dict[str, Any]:
    return {
        "id": OWNER,
        "created_at": "2025-11-11T22:20:00Z",
        "email": MAIL,
        "email_hashed": f"8c6976e5@{MAIL.partition('@')[2]}",
        "rbac_roles": ["owner"],
        "status": "active",
        "login_type": "password",
    }


def _template() -> dict[str, Any]:
    return {
        "id": TEMPLATE,
        "created_by": OWNER,
        "created_at": "2025-11-18T21:00:00Z",
        "organization_id": ORGANIZATION,
        "deleted": False,
        "active_version_id": uid(5, 1),
        "name": f"for {MAIL}",
        "deprecated": False,
    }


def _import_job() -> dict[str, Any]:
    return job(99, type="template_version_import", **DONE)
