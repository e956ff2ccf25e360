"""Coder servers that are asked for their own stats: each snapshot of theirs is stored once, under their deployment.

A server makes a snapshot each interval, keeps it until the next, and says when that will be. So it is asked again just then;
when the answer is still the old one, or there is none, soon after, and less and less soon up to half an interval. Whatever
a server does, a snapshot that it keeps for its interval is thus seen, unless it cannot be reached for half of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
import structlog
from prometheus_client import Counter

from collector.normalize.upstream import USUAL_INTERVAL_MS, upstream_build, upstream_stats
from collector.outbound.coder import FAILURES, FETCH_WITHIN_S, CoderServer, words
from collector.rollup.agentstats import AgentUse
from collector.rollup.snapshot import Snapshot, keep
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.config import Upstream
from collector.wire.deployment import SessionCounts, Source
from collector.wire.errors import InvalidReport
from collector.wire.upstream import UpstreamBuild, UpstreamStats

BUILD_GOOD_FOR_MS = 10 * 60_000  # unless something fails: then a server has perhaps been changed
STATS, BUILD = "/api/v2/deployment/stats", "/api/v2/buildinfo"
SOON_MS, LATEST_MS = 1_000, 60_000
FARTHEST_MS = 24 * 3_600_000
SKEW_MS = 5_000  # less may be the rounding of the Date header and the way of the answer

POLLS = Counter("collector_upstream_polls", "Questions for the stats of Coder servers, by what came of them.", ["result"])
RESULTS = tuple(POLLS.labels(result) for result in ("new", "unchanged", "failed"))  # all there from the start

Write = Callable[[Callable[[Any], None]], Awaitable[None]]

log = structlog.get_logger(__name__)


class Poller:
    """Asks one server whenever it is due.

    Args:
        upstream: where the server is, and in which file its token.
        write: how a snapshot is stored.
        said: the sources that deployments are shown by, where the server's comes in once it is known which it is.
        now: milliseconds since the epoch.
        fetch_within: seconds that an answer may take.
    """

    def __init__(
        self,
        upstream: Upstream,
        write: Write,
        said: MutableMapping[str, Source],
        *,
        now: Callable[[], int],
        fetch_within: float = FETCH_WITHIN_S,
    ) -> None:
        self._server = CoderServer(upstream, fetch_within=fetch_within)
        self._source = upstream.source
        self._write = write
        self._said = said
        self._now = now
        self.due = 0  # ms; when run() next asks
        self._build: UpstreamBuild | None = None
        self._build_until = 0
        self._last: UpstreamStats | None = None
        self._in_vain = 0  # questions in a row that brought nothing new
        self._skew_ms = 0  # how far the server's clock is ahead

    async def run(self) -> None:
        """Ask, if it is time. What a server does wrong is logged and counted, and nobody's error; a store that fails raises."""
        if self._now() < self.due:
            return
        new, unchanged, failed = RESULTS
        try:
            async with self._server.session() as session:
                stats, build = await self._stats(session), await self._known_build(session)
        except FAILURES as error:
            failed.inc()
            self._build_until = 0
            log.warning("an upstream cannot be read", upstream=self._server.url, error=words(error), in_a_row=self._in_vain + 1)
            self._wait()
            return
        is_new = self._last is None or stats.collected_at != self._last.collected_at
        await self._write(lambda connection: self._store(connection, stats, build))
        (new if is_new else unchanged).inc()
        self._last = stats
        if not is_new:
            self._wait()
            return
        self._in_vain = 0
        interval = stats.next_update_at - stats.collected_at
        # A time that has passed or is far ahead is no guide; the old answer may have been about to be replaced.
        left = stats.next_update_at - self._skew_ms - self._now()
        self.due = self._now() + (left if 0 < left <= interval else SOON_MS)

    def _store(self, connection: Any, stats: UpstreamStats, build: UpstreamBuild) -> None:
        keep(connection, _snapshot(build.deployment, stats), at=self._now(), version=build.version or None)

    def _wait(self) -> None:
        """Be due soon, and later each time, but never too late for a snapshot that is made meanwhile."""
        interval = self._last.next_update_at - self._last.collected_at if self._last else USUAL_INTERVAL_MS
        latest = min(max(interval // 2, SOON_MS), LATEST_MS)
        self.due = self._now() + min(SOON_MS << min(self._in_vain, 10), latest)
        self._in_vain += 1

    async def _stats(self, session: aiohttp.ClientSession) -> UpstreamStats:
        stats = upstream_stats(await self._answer(session, STATS))
        # Retention would never find a time of the far future, and what it has purged must not come again.
        if abs(stats.collected_at - self._now()) > FARTHEST_MS:
            raise InvalidReport("The stats are of a time more than a day away.")
        return stats

    async def _known_build(self, session: aiohttp.ClientSession) -> UpstreamBuild:
        if self._build is None or self._now() >= self._build_until:
            self._build = upstream_build(await self._answer(session, BUILD))
            self._build_until = self._now() + BUILD_GOOD_FOR_MS
            if self._source in tuple(Source):  # else auto
                # What was said of the deployment by its id stands.
                self._said.setdefault(self._build.deployment, Source(self._source))
        return self._build

    async def _answer(self, session: aiohttp.ClientSession, path: str) -> bytes:
        answer = await self._server.answer(session, path)
        self._note_skew(answer.date)
        return answer.body

    def _note_skew(self, date: str | None) -> None:
        try:
            ahead = int(parsedate_to_datetime(date or "").timestamp() * 1000) - self._now()
        except (ValueError, OverflowError):
            ahead = 0
        self._skew_ms = ahead if abs(ahead) > SKEW_MS else 0


def _snapshot(deployment: str, stats: UpstreamStats) -> Snapshot:
    counts, sessions = stats.workspaces, stats.sessions
    return Snapshot(
        deployment=deployment,
        source=Source.UPSTREAM,
        aggregated_from=stats.aggregated_from,
        collected_at=stats.collected_at,
        next_update_at=stats.next_update_at,
        workspaces=msgspec.convert(counts, WorkspaceCounts, from_attributes=True),
        agents=AgentUse(
            counts.rx_bytes,
            counts.tx_bytes,
            stats.latency_p50_ms,
            stats.latency_p95_ms,
            msgspec.convert(sessions, SessionCounts, from_attributes=True),
        ),
    )
