"""Coder servers that are asked for their own stats: each snapshot of theirs is stored once, under their deployment.

A server makes a snapshot each interval, keeps it until the next, and says when that will be. So it is asked again just then;
when the answer is still the old one, or there is none, soon after, and less and less soon up to half an interval. Whatever
a server does, a snapshot that it keeps for its interval is thus seen, unless it cannot be reached for half of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog
from prometheus_client import Counter

from collector.normalize.upstream import USUAL_INTERVAL_MS, upstream_build, upstream_stats
from collector.rollup.agentstats import AgentUse
from collector.rollup.snapshot import Snapshot, keep
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.config import Upstream
from collector.wire.deployment import SessionCounts, Source
from collector.wire.errors import InvalidReport
from collector.wire.upstream import UpstreamBuild, UpstreamStats

FETCH_WITHIN_S = 30.0
ANSWER_LIMIT = 256 * 1024  # bytes; stats are 600
TOKEN_LIMIT = 4 * 1024
BUILD_GOOD_FOR_MS = 10 * 60_000  # unless something fails: then a server has perhaps been changed
SOON_MS, LATEST_MS = 1_000, 60_000
FARTHEST_MS = 24 * 3_600_000
SKEW_MS = 5_000  # less may be the rounding of the Date header and the way of the answer

POLLS = Counter("collector_upstream_polls", "Questions for the stats of Coder servers, by what came of them.", ["result"])
RESULTS = tuple(POLLS.labels(result) for result in ("new", "unchanged", "failed"))  # all there from the start

Write = Callable[[Callable[[Any], None]], Awaitable[None]]

log = structlog.get_logger(__name__)


class Poller:
    """Asks one server whenever it is due. Its token is read anew each time, and goes to this server only.

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
        self._upstream = upstream
        self._write = write
        self._said = said
        self._now = now
        self._fetch_within = fetch_within
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
            async with self._session() as session:
                stats, build = await self._stats(session), await self._known_build(session)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, InvalidReport) as error:
            failed.inc()
            self._build_until = 0
            # In words of our own: an error of aiohttp may repeat what a server sent.
            log.warning(
                "an upstream cannot be read", upstream=self._upstream.url, error=_words(error), in_a_row=self._in_vain + 1
            )
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

    def _session(self) -> aiohttp.ClientSession:
        # A session each time: no cookie of the server is kept, and a connection is not held for half a minute of silence.
        return aiohttp.ClientSession(
            trust_env=True,
            headers={"Accept": "application/json", "Coder-Session-Token": _token(self._upstream.token_file)},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._fetch_within),
        )

    async def _stats(self, session: aiohttp.ClientSession) -> UpstreamStats:
        stats = upstream_stats(await self._answer(session, "/api/v2/deployment/stats"))
        # Retention would never find a time of the far future, and what it has purged must not come again.
        if abs(stats.collected_at - self._now()) > FARTHEST_MS:
            raise InvalidReport("The stats are of a time more than a day away.")
        return stats

    async def _known_build(self, session: aiohttp.ClientSession) -> UpstreamBuild:
        if self._build is None or self._now() >= self._build_until:
            self._build = upstream_build(await self._answer(session, "/api/v2/buildinfo"))
            self._build_until = self._now() + BUILD_GOOD_FOR_MS
            if self._upstream.source in tuple(Source):  # else auto
                # What was said of the deployment by its id stands.
                self._said.setdefault(self._build.deployment, Source(self._upstream.source))
        return self._build

    async def _answer(self, session: aiohttp.ClientSession, path: str) -> bytes:
        # No redirect is followed: the token belongs to the host that was configured.
        async with session.get(self._upstream.url.rstrip("/") + path, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004
                raise InvalidReport(f"The answer has status {response.status}.")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > ANSWER_LIMIT:
                    raise InvalidReport("The answer is too long.")
            self._note_skew(response.headers.get("Date"))
            return bytes(body)

    def _note_skew(self, date: str | None) -> None:
        try:
            ahead = int(parsedate_to_datetime(date or "").timestamp() * 1000) - self._now()
        except (ValueError, OverflowError):
            ahead = 0
        self._skew_ms = ahead if abs(ahead) > SKEW_MS else 0


def _token(file: str) -> str:
    with Path(file).open("rb") as opened:
        token = opened.read(TOKEN_LIMIT).strip()
    if not token or not token.isascii() or not token.decode("ascii").isprintable():
        raise InvalidReport("The token file does not hold a token.")
    return token.decode("ascii")


def _words(error: Exception) -> str:
    return " ".join(f"{error.message} {error.detail}".split()) if isinstance(error, InvalidReport) else type(error).__name__


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
