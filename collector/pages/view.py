"""What the overview says, made of what the store knows: pure functions, no request and no clock of their own."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from collector.pages import units
from collector.rollup.snapshot import Snapshot
from collector.rollup.sources import SourceState
from collector.wire.deployment import Source, StatsHistory
from collector.wire.health import Check
from collector.wire.identity import User
from collector.wire.violations import Counts, Noise, Violation

TOP = 8  # violations at a glance; the next page has all
SHORT_ID = 8  # characters of a deployment's id: what tells it from the others
TABLE_ROWS = 12  # of the history, in words
STALE_INTERVALS = 2  # one late snapshot is no news, the second is
TRENDING = 2.0  # times its usual rate: less comes of small numbers, and on its first day nothing is usual yet
STATUSES = ("running", "building", "pending", "stopped", "failed")
APPS = {"vscode": "VS Code", "jetbrains": "JetBrains", "reconnecting_pty": "Web terminal", "ssh": "SSH"}
SOURCES = {
    Source.REPORTS: "agent reports",
    Source.UPSTREAM: "the server's own stats",
    Source.TELEMETRY: "telemetry, which is approximate",
}
EXAMPLE = {
    **{f"{name}_id": f"my-{name}" for name in ("agent", "workspace", "user", "template")},
    "stats": {"connection_median_latency_ms": 12.5, "rx_bytes": 7_000, "tx_bytes": 3_000, "session_count_ssh": 1},
}
DISPOSITIONS = {"enforce": "blocked", "report": "reported only", "unknown": "not said"}


class Range(enum.Enum):
    """How far back the history goes: its name in the address, in words, in seconds."""

    HOUR = ("1h", "the last hour", 3_600)
    DAY = ("24h", "the last 24 hours", 86_400)
    WEEK = ("7d", "the last 7 days", 604_800)

    def __init__(self, label: str, words: str, seconds: int) -> None:
        self.label = label
        self.words = words
        self.seconds = seconds

    @classmethod
    def named(cls, label: str | None) -> Range:
        """The range of that name; 24 hours when there is none."""
        return next((span for span in cls if span.label == label), cls.DAY)


class Choice(NamedTuple):
    """What the address asks for beside the page itself."""

    span: Range
    noise: Noise

    def href(self, anchor: str, **changed: Any) -> str:
        """The page's address with one choice changed, at the section ``anchor``."""
        other = self._replace(**changed)
        asked = {"range": other.span.label} if other.span is not Range.DAY else {}
        if other.noise is not Noise.EXCLUDE:
            asked["noise"] = other.noise.value
        return f"/{'?' if asked else ''}{urlencode(asked)}#{anchor}"


class Violations(NamedTuple):
    """The violations to show, and how many match the choice, and how many are noise."""

    rows: Sequence[Violation]
    matching: int
    noisy: int


class Health(NamedTuple):
    """Who gave snapshots when, what the checks of the service found, and the id of its own deployment."""

    sources: Sequence[SourceState]
    checks: Sequence[Check]
    own: str


class Link(NamedTuple):
    """A choice the reader has."""

    label: str
    href: str
    current: bool


def overview_context(
    *,
    viewer: User,
    choice: Choice,
    snapshot: Snapshot | None,
    history: StatsHistory,
    violations: Violations,
    health: Health,
    base_url: str,
    now: int,
) -> dict[str, Any]:
    """Everything that ``overview.html`` says. ``now`` in milliseconds since the epoch."""
    return {
        "viewer": viewer,
        "now": now_view(snapshot, base_url, now=now),
        "history": history_view(history, choice, now=now),
        "violations": violations_view(violations, choice, now=now),
        "sources": [_source(state, health.own, now=now) for state in health.sources],
        "checks": health.checks,
    }


def now_view(snapshot: Snapshot | None, base_url: str, *, now: int) -> dict[str, Any]:
    """The current snapshot; how to send data when there is none in it."""
    if snapshot is None:
        return {"ready": False, "quiet": False, "next_update": None}
    agents = snapshot.agents
    apps = [{"label": label, "count": getattr(agents.sessions, name)} for name, label in APPS.items()]
    sessions = sum(app["count"] for app in apps)
    statuses = _statuses({name: getattr(snapshot.workspaces, name) for name in STATUSES})
    return {
        "ready": True,
        "stale": now - snapshot.next_update_at > STALE_INTERVALS * (snapshot.next_update_at - snapshot.collected_at),
        "quiet": not (sessions or agents.rx_bytes or agents.tx_bytes or any(status["count"] for status in statuses)),
        "collected": units.moment(snapshot.collected_at, now=now),
        "next_update": units.moment(snapshot.next_update_at, now=now),
        "source": SOURCES[snapshot.source],
        "window": f"{(snapshot.collected_at - snapshot.aggregated_from) // units.MINUTE} minutes",
        "statuses": statuses,
        "running": snapshot.workspaces.running,
        "apps": apps,
        "sessions": sessions,
        "p50": units.latency(agents.latency_p50_ms),
        "p95": units.latency(agents.latency_p95_ms),
        "traffic": units.traffic(agents.rx_bytes + agents.tx_bytes),
        "received": units.traffic(agents.rx_bytes),
        "sent": units.traffic(agents.tx_bytes),
        "example": example(base_url),
    }


def history_view(history: StatsHistory, choice: Choice, *, now: int) -> dict[str, Any]:
    """The choice of ranges, what the chart is to ask for, and a dozen points evenly over the range, newest first."""
    span = choice.span
    stats = [point.stats for point in reversed(history.points) if point.stats is not None]
    every = -(-len(stats) // TABLE_ROWS) or 1
    return {
        "ranges": [Link(other.label, choice.href("history", span=other), other is span) for other in Range],
        "span": span.words,
        "span_seconds": span.seconds,
        "step_seconds": history.step_seconds,
        "rows": [
            {
                "at": units.moment(milliseconds(seen.collected_at), now=now),
                "running": seen.workspaces.running,
                "sessions": sum(getattr(seen.session_count, name) for name in APPS),
            }
            for seen in stats[::every]
        ],
    }


def violations_view(violations: Violations, choice: Choice, *, now: int) -> dict[str, Any]:
    """The violations with the most reports, and the choice of seeing noise among them."""
    shown = len(violations.rows)
    lead = f"The {shown} most reported of {units.count(violations.matching)}" if violations.matching > shown else ""
    return {
        "rows": [violation_row(row, now=now) for row in violations.rows],
        "lead": lead,
        "noise": choice.noise,
        "noisy": violations.noisy,
        "choices": [
            Link(label, choice.href("violations", noise=noise), choice.noise is noise)
            for noise, label in ((Noise.EXCLUDE, "Without noise"), (Noise.INCLUDE, "With noise"))
        ],
    }


def milliseconds(when: datetime) -> int:
    """A time as milliseconds since the epoch."""
    return round(when.timestamp() * 1_000)


def _statuses(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Each status with its share of all as a stretch of a line 100 long."""
    total = sum(counts.values()) or 1
    views, start = [], 0.0
    for name, count in counts.items():
        width = 100 * count / total
        view = {"name": name, "label": name.capitalize(), "count": count}
        views.append({**view, "start": f"{start:.2f}", "width": f"{width:.2f}"})
        start += width
    return views


def violation_row(row: Violation, *, now: int) -> dict[str, Any]:
    """One violation as a table has it."""
    return {
        "id": row.id,
        "state": row.state.value,
        "state_by": row.state_by,
        "state_at": None if row.state_at is None else units.moment(milliseconds(row.state_at), now=now),
        "rule": row.noise_rule,
        "days": row.days,
        "clients": row.clients,
        "trend": f"{row.trend:.1f} times" if row.trend >= TRENDING and row.days > 1 else None,
        "directive": row.effective_directive or "unknown directive",
        "dispositions": _dispositions(row.counts),
        "blocked": row.blocked_origin or row.blocked_kind,
        "place": row.place,
        "noise": row.noise_class,
        "allowed": row.policy_allows,
        "document": row.document_origin or "unknown",
        "project": row.project,
        "count": row.count,
        "first_seen": units.moment(milliseconds(row.first_seen), now=now),
        "last_seen": units.moment(milliseconds(row.last_seen), now=now),
    }


def _dispositions(counts: Counts) -> list[dict[str, str]]:
    """What browsers did: in words alone when all did the same, else with how many."""
    seen = {kind: count for kind, count in msgspec.structs.asdict(counts).items() if count}
    return [
        {"kind": kind, "label": DISPOSITIONS[kind] if len(seen) == 1 else f"{DISPOSITIONS[kind]} {units.count(count)}"}
        for kind, count in seen.items()
    ]


def _source(state: SourceState, own: str, *, now: int) -> dict[str, Any]:
    return {
        "deployment": state.deployment,
        "short": state.deployment[:SHORT_ID],
        "own": state.deployment == own,
        "words": SOURCES[state.source].partition(",")[0],
        "version": state.version,
        "last_success": units.moment(state.last_success_at, now=now),
    }


def example(base_url: str) -> list[str]:
    """A command that sends one agent report; the key is left to the shell, for it is secret."""
    body = msgspec.json.encode([EXAMPLE]).decode()
    return [
        f"curl {shlex.quote(f'{base_url}/api/v2/ingest/agent-stats')} \\",
        '  -H "Authorization: Bearer $FEED_KEY" -H "Content-Type: application/json" \\',
        f"  -d {shlex.quote(body)}",
    ]
