"""A deployment of which everything there is is so many, and a store in which that changes while it is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, event, insert, update
from sqlalchemy.util.concurrency import await_only

from collector.persist import agentstats, aibridge, workspaces
from collector.persist.engine import Store
from collector.persist.meta import note_backup
from collector.persist.tables import csp_totals, drop_totals, noise_rule_totals, other_report_totals
from collector.wire.records import WorkspaceBuild
from tests.aibridge import line, records, start
from tests.records import NOW, agent_report, workspace
from tests.rollup.rows import add_project, add_violation

T = TypeVar("T")

RULE = "extension-scheme"
SUMS = {
    csp_totals: {"effective_directive": "img-src", "disposition": "enforce", "noise_class": ""},
    drop_totals: {"reason": "malformed"},
    other_report_totals: {"type": "deprecation"},
    noise_rule_totals: {"rule": RULE},
}
# What grows by one each time; of a family with several series it is their sum.
GROWING = (
    "collector_csp_reports_total",
    "collector_csp_dropped_reports_total",
    "collector_other_reports_total",
    "collector_noise_rule_matches_total",
    "collector_last_backup_timestamp_seconds",
    "collector_csp_violations",
    "collector_csp_new_violations",
    "collector_csp_top_violation_reports",
    "collector_deployment_workspaces",
    "collector_deployment_sessions",
    "collector_deployment_rx_bytes",
    'collector_aibridge_interceptions{deployment="d",ended="false",model="example-1",provider="anthropic",window="1h"}',
    'collector_aibridge_tool_calls{deployment="d",failed="false",tool="bash",window="24h"}',
    "coderd_agents_up",
    "coderd_agentstats_rx_bytes",
    'coderd_api_workspace_latest_build{status="succeeded"}',
    "coderd_workspace_builds_total",
)


class Growing:
    """``number`` of everything, as far as it was committed."""

    def __init__(self) -> None:
        self.number = 0

    def grow(self, connection: Connection) -> None:
        """One more of everything, in one transaction."""
        if self.number == 0:
            self._project = add_project(connection)
            for table, labels in SUMS.items():
                connection.execute(insert(table).values(project_id=self._project, count=0, **labels))
        self.number += 1
        for table in SUMS:
            connection.execute(update(table).values(count=self.number))
        note_backup(connection, self.number * 1000)
        add_violation(connection, self._project, f"{self.number:032x}", count=1, stored_at=NOW)
        agent = agent_report(agent_id=f"a{self.number}", agent_name=f"a{self.number}", rx_bytes=1, session_count_ssh=1)
        agentstats.store(connection, [agent])
        ended = WorkspaceBuild(1, "start", job_started_at=NOW, job_completed_at=NOW)
        workspaces.store(connection, [workspace(ended, id=f"w{self.number}", name=f"w{self.number}")])
        its = {"interception_id": f"i{self.number}"}
        log = start(its["interception_id"], "2026-01-14T09:59:00Z") + line("tool_usage", tool="bash", **its)
        aibridge.store(connection, records(log, keep_texts=False), deployment="d", received_at=NOW)


class GrowingStore:
    """``store``, in which everything grows after each statement of a reading, and after each reading and writing."""

    def __init__(self, store: Store, growing: Growing) -> None:
        self._store = store
        self._growing = growing
        self.dialect = store.dialect
        self.size_bytes, self.close = store.size_bytes, store.close
        self.grown = 0

    async def transact(self, work: Callable[[Connection], T]) -> T:
        done = await self._store.transact(work)
        await self._grow()
        return done

    async def read(self, work: Callable[[Connection], T]) -> T:
        found = await self._store.read(partial(self._read, work))
        await self._grow()
        return found

    def _read(self, work: Callable[[Connection], T], connection: Connection) -> T:
        event.listen(connection, "after_cursor_execute", lambda *_: await_only(self._grow()))
        return work(connection)

    async def _grow(self) -> None:
        await self._store.transact(self._growing.grow)
        self.grown += 1


def numbers(text: str) -> dict[str, float]:
    """How many there are of what is growing, by family, as a scrape says."""
    found = dict.fromkeys(GROWING, 0.0)
    for series, _, value in (sample.rpartition(" ") for sample in text.splitlines() if not sample.startswith("#")):
        for name in {series, series.partition("{")[0]}:
            if name in found:
                found[name] += float(value)
    return found
