"""What was sent and what was answered, and from that: what the service must show."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

from collector.simulate.agentstats import AgentRow
from collector.simulate.plan import Buckets, CspCount, FleetState, Plan, Posts, Rows, Sessions, Summary
from collector.simulate.workspaces import WorkspaceRow

WINDOW_MS = 15 * 60 * 1000  # what a snapshot looks back on
ROUTES = ("csp", "agent-stats", "workspaces", "aibridge")

Kind = tuple[str, str | None, bool]  # effective directive, disposition, noise


class Sent(NamedTuple):
    """What is in one POST to the CSP route."""

    kinds: tuple[Kind, ...]
    others: tuple[str, ...]


class Ledger:
    """Counts by what was answered. A report counts as acknowledged only when its POST was answered 2xx."""

    def __init__(self) -> None:
        self.posts: Counter[str] = Counter()
        self.acknowledgements: Counter[str] = Counter()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.reports_sent: Counter[Kind] = Counter()
        self.reports_acknowledged: Counter[Kind] = Counter()
        self.others_sent: Counter[str] = Counter()
        self.others_acknowledged: Counter[str] = Counter()
        self.rows_sent: Counter[str] = Counter()
        self.rows_accepted: Counter[str] = Counter()
        self.rows_rejected: Counter[str] = Counter()
        self._agent_rows: deque[tuple[int, AgentRow]] = deque()  # acknowledged ones, oldest first
        self._buckets: dict[str, str | None] = {}  # of each workspace, as acknowledged

    def posted(self, route: str) -> None:
        """One request is on its way."""
        self.posts[route] += 1

    def refused(self, route: str, status: str) -> None:
        """One request was answered with ``status``, or with nothing: "connection"."""
        self.refusals[route, status] += 1

    def csp_sent(self, sent: Sent) -> None:
        """One POST of a browser is on its way."""
        self.posted("csp")
        self.reports_sent.update(sent.kinds)
        self.others_sent.update(sent.others)

    def csp_acknowledged(self, sent: Sent) -> None:
        """One POST of a browser was answered 2xx."""
        self.acknowledgements["csp"] += 1
        self.reports_acknowledged.update(sent.kinds)
        self.others_acknowledged.update(sent.others)

    def agents_accepted(self, rows: Sequence[AgentRow], rejected: Collection[int], now_ms: int) -> None:
        """``rows`` were answered 2xx at ``now_ms``, but for those with a rejected index."""
        self._settled("agent-stats", len(rows), len(rejected))
        self._agent_rows.extend((now_ms, row) for index, row in enumerate(rows) if index not in rejected)
        self._forget_before(now_ms - WINDOW_MS)

    def workspaces_accepted(self, rows: Sequence[tuple[WorkspaceRow, str | None]], rejected: Collection[int]) -> None:
        """Workspaces, each with the bucket it is now in, were answered 2xx, but for those with a rejected index."""
        self._settled("workspaces", len(rows), len(rejected))
        self._buckets |= {row.id: bucket for index, (row, bucket) in enumerate(rows) if index not in rejected}

    def lines_accepted(self, route: str, accepted: int, rejected: int) -> None:
        """Lines of a log were answered 2xx, some of them rejected."""
        self._settled(route, accepted + rejected, rejected)

    def fleet(self, now_ms: int) -> FleetState:
        """What a snapshot taken at ``now_ms`` must say."""
        self._forget_before(now_ms - WINDOW_MS)
        newest = {row.agent_id: row.stats for _, row in self._agent_rows}
        stats = [row.stats for _, row in self._agent_rows]
        p50, p95 = _percentiles([s.connection_median_latency_ms for s in stats if s.connection_median_latency_ms > 0])
        return FleetState(
            workspaces=Buckets(**Counter(bucket for bucket in self._buckets.values() if bucket is not None)),
            sessions=Sessions(
                vscode=sum(s.session_count_vscode for s in newest.values()),
                ssh=sum(s.session_count_ssh for s in newest.values()),
                jetbrains=sum(s.session_count_jetbrains for s in newest.values()),
                reconnecting_pty=sum(s.session_count_reconnecting_pty for s in newest.values()),
            ),
            rx_bytes=sum(s.rx_bytes for s in stats),
            tx_bytes=sum(s.tx_bytes for s in stats),
            latency_p50_ms=p50,
            latency_p95_ms=p95,
        )

    def summary(self, plan: Plan, *, started_at: int, finished_at: int) -> Summary:
        """The whole account; ``expected`` is as of ``finished_at``."""
        return Summary(
            url=plan.url,
            seed=plan.seed,
            workspaces=plan.workspaces,
            browsers=plan.browsers,
            started_at=started_at,
            finished_at=finished_at,
            posts=tuple(self._posts(route) for route in ROUTES),
            csp_sent=self.reports_sent.total(),
            csp_acknowledged=self.reports_acknowledged.total(),
            csp=tuple(
                CspCount(*kind, sent=sent, acknowledged=self.reports_acknowledged[kind])
                for kind, sent in sorted(self.reports_sent.items(), key=lambda item: (-item[1], str(item[0])))
            ),
            others_sent=dict(self.others_sent),
            others_acknowledged=dict(self.others_acknowledged),
            agent_rows=self._rows("agent-stats"),
            workspace_rows=self._rows("workspaces"),
            aibridge_lines=self._rows("aibridge"),
            expected=self.fleet(finished_at),
        )

    def _settled(self, route: str, rows: int, rejected: int) -> None:
        self.acknowledgements[route] += 1
        self.rows_accepted[route] += rows - rejected
        self.rows_rejected[route] += rejected

    def _forget_before(self, oldest_ms: int) -> None:
        while self._agent_rows and self._agent_rows[0][0] <= oldest_ms:
            self._agent_rows.popleft()

    def _posts(self, route: str) -> Posts:
        refused = {status: count for (of, status), count in sorted(self.refusals.items()) if of == route}
        return Posts(route=route, sent=self.posts[route], acknowledged=self.acknowledgements[route], refused=refused)

    def _rows(self, route: str) -> Rows:
        sent, accepted, rejected = self.rows_sent[route], self.rows_accepted[route], self.rows_rejected[route]
        return Rows(sent=sent, accepted=accepted, rejected=rejected, unsettled=sent - accepted - rejected)


def _percentiles(latencies: list[float]) -> tuple[float, float]:
    """The median and the 95th percentile, interpolated between neighbours as SQL's ``percentile_cont``; -1 without any."""
    if not latencies:
        return -1.0, -1.0
    if len(latencies) == 1:
        return latencies[0], latencies[0]
    cuts = statistics.quantiles(latencies, n=20, method="inclusive")
    return cuts[9], cuts[18]
