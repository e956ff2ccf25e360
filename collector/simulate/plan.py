"""What to simulate, and what came of it: plain values, frozen, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import msgspec


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One simulation: who is played, where to, for how long. The same seed plays the same people with the same ids."""

    url: str  # of the service, without /api/v2
    browser_key: str = field(repr=False)
    feed_key: str = field(repr=False)
    workspaces: int = 100
    browsers: int = 10
    ai_users: int = 4  # 0: for a service that takes no logs of AI gateways
    duration: timedelta = timedelta(seconds=30)
    seed: int = 1
    interval: timedelta = timedelta(seconds=30)  # between two reports of one agent
    pace: tuple[float, float] = (2.0, 5.0)  # POSTs a second of the slowest and of the busiest browser
    patience: timedelta = timedelta(seconds=10)  # how long past the end a refused feed is tried again


class Buckets(msgspec.Struct, frozen=True):
    """Workspaces by state. Cancelled and deleted ones are in none, so the sum may be less than all."""

    pending: int = 0
    building: int = 0
    running: int = 0
    failed: int = 0
    stopped: int = 0


class Sessions(msgspec.Struct, frozen=True):
    """Open sessions by app, of the newest report of each agent."""

    vscode: int = 0
    ssh: int = 0
    jetbrains: int = 0
    reconnecting_pty: int = 0


class FleetState(msgspec.Struct, frozen=True):
    """A fleet at one moment; sessions, bytes and latencies are those of the 15 minutes before it."""

    workspaces: Buckets
    sessions: Sessions
    rx_bytes: int
    tx_bytes: int
    latency_p50_ms: float  # -1: no latency seen
    latency_p95_ms: float


class Posts(msgspec.Struct, frozen=True):
    """The requests of one route. ``refused`` counts by status, or under "connection" when there was no answer."""

    route: str  # csp, agent-stats, workspaces or aibridge
    sent: int
    acknowledged: int
    refused: dict[str, int]


class CspCount(msgspec.Struct, frozen=True):
    """CSP reports of one kind; ``acknowledged`` of ``sent`` were in a POST that was answered 2xx."""

    effective_directive: str
    disposition: str | None  # None: an old browser that does not say
    noise: bool
    sent: int
    acknowledged: int


class Rows(msgspec.Struct, frozen=True):
    """Rows, or log lines, of one feed. ``unsettled`` ones were sent, but never answered with 2xx: they may be stored or not."""

    sent: int
    accepted: int
    rejected: int
    unsettled: int


class Summary(msgspec.Struct, frozen=True):
    """What was acknowledged. ``expected`` is what a service must now show that nobody else reported to."""

    url: str
    seed: int
    workspaces: int
    browsers: int
    started_at: int
    finished_at: int
    posts: tuple[Posts, ...]
    csp_sent: int
    csp_acknowledged: int
    csp: tuple[CspCount, ...]
    others_sent: dict[str, int]  # reports of other types than CSP, by type
    others_acknowledged: dict[str, int]
    agent_rows: Rows
    workspace_rows: Rows
    aibridge_lines: Rows
    expected: FleetState

    @property
    def wholly_acknowledged(self) -> bool:
        """True when every POST was answered 2xx and no row was rejected."""
        rows = (self.agent_rows, self.workspace_rows, self.aibridge_lines)
        return not any(p.refused for p in self.posts) and all(r.accepted == r.sent for r in rows)
