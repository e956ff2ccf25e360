"""What the page for setting up says: pure functions, no request and no clock of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from collector.normalize.headers import report_headers
from collector.pages import units
from collector.pages.view import example, milliseconds
from collector.persist.keys import KeyListing
from collector.persist.meta import CANARY_PROJECT, OWN_PROJECT
from collector.rollup.arrivals import Arrivals
from collector.rollup.trials import Trial, Trials
from collector.wire.identity import KeyKind, Role, User
from collector.wire.projects import Endpoint, Project
from collector.wire.trials import TRIAL_ID

KINDS = {
    "reports": ("CSP reports", "#sites"),
    "agents": ("Agent reports", "#agents"),
    "workspaces": ("Workspaces", "#agents"),
    "telemetry": ("Telemetry", "#servers"),
    "aibridge": ("AI records", "#servers"),
}


def setup_context(
    *,
    viewer: User,
    keys: Sequence[KeyListing],
    projects: Sequence[Project],
    arrivals: Arrivals,
    tries: dict[str, dict[str, Any]],
    base_url: str,
    metrics_url: str,
    now: int,
) -> dict[str, Any]:
    """Everything that ``setup.html`` says. ``keys`` may hold any keys: feed keys and revoked ones are not shown."""
    by_name = {project.name: project for project in projects}
    shown = [key for key in keys if key.public_key and key.revoked_at is None and key.key.kind is KeyKind.BROWSER]
    sites = [
        {**setup_view(key, base_url), **_heard(by_name[key.key.project], now=now)}
        for key in shown
        if key.key.project not in (OWN_PROJECT, CANARY_PROJECT) and not key.key.retired
    ]
    return {
        "viewer": viewer,
        "setups": sites,
        "arrivals": [
            {"label": label, "href": href, "at": None if at is None else units.moment(at, now=now)}
            for (label, href), at in ((KINDS[kind], at) for kind, at in arrivals._asdict().items())
        ],
        "tries": tries,
        "send_stats": example(base_url),
        "report_url": f"{base_url}/api/v2/workspaceagents/me/report-stats",
        "telemetry": _telemetry(base_url),
        "aibridge": [f'journalctl -u coder -o cat | collector aibridge ingest - --url {base_url} --feed-key "$FEED_KEY"'],
        "scrape": scrape_config(metrics_url, base_url),
    }


def tries_view(tried: Trials, viewer: User, deployment: str, *, now: int) -> dict[str, dict[str, Any]]:
    """What the buttons that try an intake send, by kind, and what of it arrived last. Owners need no key there."""
    names = ("agent_id", "workspace_id", "user_id", "template_id")
    row = {**dict.fromkeys(names, TRIAL_ID), "agent_name": "test", "workspace_name": "setup", "username": viewer.username}
    server = {"id": deployment, "machine_id": TRIAL_ID, "os_type": "browser"}
    sent = {"agents": ("/api/v2/ingest/agent-stats", [{**row, "stats": {}}]), "telemetry": ("/deployment", server)}
    return {
        kind: {
            "path": path,
            "body": msgspec.json.encode(body).decode(),
            "may": viewer.role is Role.OWNER,
            "last": _tried(getattr(tried, kind), now=now),
        }
        for kind, (path, body) in sent.items()
    }


def _tried(trial: Trial | None, *, now: int) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {"ms": trial.at, "at": units.moment(trial.at, now=now), "says": ", ".join(f"{k} {v}" for k, v in trial.says.items())}


def setup_view(listing: KeyListing, base_url: str) -> dict[str, Any]:
    """What a site of the key's project has to send."""
    key = listing.public_key or ""
    origins = sorted(listing.key.allowed_origins or ())
    return {
        "project": listing.key.project,
        "key_id": listing.key.id,
        "key": key,
        "origins": origins,
        "document": f"{origins[0] if origins else base_url}/",  # where a report that tries the key out says it is from
        "headers": [str(header) for header in report_headers(base_url, key)],
    }


def scrape_config(metrics_url: str, base_url: str) -> list[str]:
    """What Prometheus needs to read ``metrics_url``: an address of the Prometheus listener, or our own path with a token."""
    own = urlsplit(base_url)
    listener = urlsplit(metrics_url)
    lines = ["scrape_configs:", "  - job_name: collector"]
    if listener.netloc:
        return [*lines, "    static_configs:", f'      - targets: ["{listener.netloc}"]']
    return [
        *lines,
        f"    scheme: {own.scheme}",
        "    authorization:",
        "      credentials: TOKEN",
        "    static_configs:",
        f'      - targets: ["{own.netloc}"]',
    ]


def _telemetry(base_url: str) -> list[str]:
    """The settings of a Coder server. Its URL has no path, which the server would drop."""
    own = urlsplit(base_url)
    return ["CODER_TELEMETRY_ENABLE=true", f"CODER_TELEMETRY_URL={own.scheme}://any:FEED_KEY@{own.netloc}"]


def _heard(project: Project, *, now: int) -> dict[str, Any]:
    last = project.last_report_at
    return {
        "live": project.endpoint is Endpoint.LIVE,
        "endpoint": project.endpoint.value,
        "last_report": None if last is None else units.moment(milliseconds(last), now=now),
    }
