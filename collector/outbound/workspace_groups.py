"""Counts of a Coder server's workspaces, where its token may see them all.

It is a task beside the polling of stats: thousands of workspaces take many pages, and no snapshot is to be missed meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import structlog

from collector.normalize.upstream import upstream_build, upstream_stats
from collector.normalize.workspace_groups import workspace_groups, workspaces_page
from collector.outbound.coder import FAILURES, FETCH_WITHIN_S, CoderServer, words
from collector.outbound.upstream import BUILD, STATS
from collector.persist.workspace_groups import store
from collector.wire.config import Upstream
from collector.wire.errors import InvalidReport
from collector.wire.workspace_groups import WorkspaceRow

COUNT_EVERY = timedelta(minutes=5)
AGAIN_AFTER_REFUSAL_MS = 3_600_000  # somebody must give the user another role first
PAGE = 100
MAX_PAGES = 500
PAGE_LIMIT = 16 * 1024 * 1024  # bytes: a workspace with agents and their apps has up to some 50 KB
# Workspaces that are deleted between two questions; more are missing because the user may not see them.
SLACK, SLACK_SHARE = 5, 0.05

log = structlog.get_logger(__name__)


class WorkspaceCounter:
    """Counts the workspaces of one server at each run.

    Args:
        upstream: where the server is, and in which file its token.
        write: how counts are stored.
        now: milliseconds since the epoch.
        fetch_within: seconds that an answer may take.
    """

    def __init__(
        self,
        upstream: Upstream,
        write: Callable[[Callable[[Any], None]], Awaitable[None]],
        *,
        now: Callable[[], int],
        fetch_within: float = FETCH_WITHIN_S,
    ) -> None:
        self._server = CoderServer(upstream, fetch_within=fetch_within)
        self._write = write
        self._now = now
        self._refused_until = 0

    async def run(self) -> None:
        """Count, unless the token could not see everything lately. What a server does wrong is logged, and nobody's error."""
        if self._now() < self._refused_until:
            return
        try:
            async with self._server.session() as session:
                build = upstream_build((await self._server.answer(session, BUILD)).body)
                stats = upstream_stats((await self._server.answer(session, STATS)).body).workspaces
                rows = await self._listed(session)
        except FAILURES as error:
            log.info("an upstream's workspaces cannot be read", upstream=self._server.url, error=words(error))
            return
        there_are = stats.pending + stats.building + stats.running + stats.failed + stats.stopped
        groups = workspace_groups(rows)
        seen = sum(group.total for group in groups)
        if seen + max(SLACK, there_are * SLACK_SHARE) < there_are:
            # A list is what its user may see: a part of it would look like a deployment that has shrunk.
            log.info("an upstream's token does not see all workspaces", upstream=self._server.url, seen=seen, of=there_are)
            self._refused_until = self._now() + AGAIN_AFTER_REFUSAL_MS
            return
        at = self._now()
        await self._write(lambda connection: store(connection, groups, deployment=build.deployment, counted_at=at))

    async def _listed(self, session: aiohttp.ClientSession) -> list[WorkspaceRow]:
        rows: list[WorkspaceRow] = []
        for number in range(MAX_PAGES):
            path = f"/api/v2/workspaces?limit={PAGE}&offset={number * PAGE}"
            page = workspaces_page((await self._server.answer(session, path, limit=PAGE_LIMIT)).body)
            rows += page.workspaces or []
            # A server that knows no pages gives all at once, and would give them again.
            if not page.workspaces or len(page.workspaces) != PAGE or len(rows) >= page.count:
                return rows
        raise InvalidReport(f"There are more than {MAX_PAGES * PAGE:,} workspaces.")
