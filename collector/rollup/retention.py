"""How long each kind of row is kept, and the deletion of what is older.

Everything is done in slices: one short transaction each, through the service's writer, which stores what has come in between
any two of them. The running sums in ``*_totals`` are never lowered; of the AI bridge's those end that nothing was added to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, func, select

from collector.persist import history_tables, tables
from collector.persist.aibridge_tables import TOTALS
from collector.persist.partitions import make_ahead
from collector.persist.telemetry_tables import inventory, telemetry_builds, telemetry_jobs, telemetry_servers
from collector.rollup import slices
from collector.rollup.aibridge import old_interceptions
from collector.rollup.csp import Slice
from collector.rollup.telemetry import is_job_of_no_build, is_old_build

T = TypeVar("T")

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# Two processes may keep house at once while leadership changes: on PostgreSQL their slices take turns under this lock.
ADVISORY_LOCK = 0x636F6C6C_686F7573
ARRIVED_WITHIN = DAY_MS  # an old log that is read in can be looked at for a day


class Write(Protocol):
    """How a slice gets to the database: ``Writer.write`` or ``Store.transact``."""

    def __call__(self, work: Callable[[Connection], T], /) -> Awaitable[T]:
        """Run ``work`` in a write transaction of its own and return what it returned."""


class Retentions(msgspec.Struct, frozen=True, kw_only=True):
    """How long each kind of row is kept, in milliseconds."""

    csp_minutes: int = 48 * HOUR_MS
    csp_hours: int = 90 * DAY_MS
    violations: int = 400 * DAY_MS  # since they were last seen; a year can be compared with the same weeks of the last
    agent_stats: int = DAY_MS
    workspaces: int = 30 * DAY_MS  # since the last message about a deleted one
    snapshots: int = 7 * DAY_MS
    history_minutes: int = 90 * DAY_MS
    history_hours: int = 1_826 * DAY_MS  # five years, a leap day among them
    inventory: int = 400 * DAY_MS  # since it was no longer so; builds since their first message
    jobs: int = 7 * DAY_MS  # of no build that is kept, since their last message
    tokens: int = 7 * DAY_MS  # since they expired or were revoked
    sessions: int = 0  # since they ended
    ingest_keys: int = 90 * DAY_MS  # since they were revoked
    writer_marks: int = DAY_MS
    violation_audit: int = 365 * DAY_MS
    alerts: int = 90 * DAY_MS
    aibridge: int = 60 * DAY_MS  # since an interception started
    aibridge_totals: int = 400 * DAY_MS  # since something was last added


class Rule(NamedTuple):
    """One line of the table below."""

    name: str  # what the rows are counted under, in the log and in metrics
    what: str
    age: Callable[[Retentions], int]  # ms
    work: slices.Work  # (connection, cutoff in ms, where to go on)


RULES = (
    Rule(
        "project_violations",
        "violations that their project does not keep for so long",
        lambda _keep: 0,
        slices.expired_violations,
    ),
    # Violations before the folding of their buckets, which would be for nothing.
    Rule("violations", "violations not seen for that long", lambda keep: keep.violations, slices.unseen_violations),
    Rule(
        "csp_policies",
        "policies not seen for as long as violations are kept",
        lambda keep: keep.violations,
        slices.older(tables.csp_policies, "last_seen"),
    ),
    Rule("csp_minutes", "counts by the minute, folded into hours", lambda keep: keep.csp_minutes, slices.folded_minutes),
    Rule("csp_hours", "counts by the hour, folded into days", lambda keep: keep.csp_hours, slices.folded_hours),
    Rule(
        "csp_scripts",
        "scripts not loaded for as long",
        lambda keep: keep.violations,
        slices.older(tables.csp_scripts, "last_seen"),
    ),
    Rule("other_samples", "samples beside CSP", lambda keep: keep.violations, slices.older(tables.other_samples, "seen_at")),
    Rule("agent_stats", "agent reports", lambda keep: keep.agent_stats, slices.old_reports),
    Rule(
        "agent_report_ids",
        "ids of agent reports, which are recognized for twice as long as the reports are kept",
        lambda keep: 2 * keep.agent_stats,
        slices.older(tables.agent_report_ids, "received_at"),
    ),
    Rule("agents", "agents without a report", lambda keep: keep.agent_stats, slices.silent_agents),
    Rule(
        "workspaces",
        "deleted workspaces",
        lambda keep: keep.workspaces,
        slices.older(tables.workspaces, "updated_at", tables.workspaces.c.deleted),
    ),
    Rule("snapshots", "snapshots", lambda keep: keep.snapshots, slices.older(tables.snapshots, "collected_at")),
    Rule(
        "history_minutes",
        "snapshots by five minutes",
        lambda keep: keep.history_minutes,
        slices.older(history_tables.history_minutes, "at"),
    ),
    Rule(
        "history_hours",
        "snapshots by the hour",
        lambda keep: keep.history_hours,
        slices.older(history_tables.history_hours, "at"),
    ),
    Rule(
        "history_days",
        "snapshots by the day",
        lambda keep: keep.history_hours,
        slices.older(history_tables.history_days, "at"),
    ),
    Rule(
        "workspace_groups",
        "counts of workspaces by group",
        lambda keep: keep.history_minutes,
        slices.older(history_tables.workspace_groups, "at"),
    ),
    Rule(
        "snapshot_sources",
        "sources whose last hour has gone",
        lambda keep: keep.history_hours,
        slices.older(history_tables.snapshot_sources, "last_success_at"),
    ),
    Rule("inventory", "former states of the inventory", lambda keep: keep.inventory, slices.older(inventory, "until")),
    Rule(
        "telemetry_builds",
        "builds that telemetry told of",
        lambda keep: keep.inventory,
        slices.walked(telemetry_builds, is_old_build()),
    ),
    Rule(
        "telemetry_jobs",
        "jobs of no build that is kept",
        lambda keep: keep.jobs,
        slices.walked(telemetry_jobs, is_job_of_no_build()),
    ),
    Rule(
        "telemetry_servers",
        "servers that send no telemetry any more",
        lambda keep: keep.inventory,
        slices.older(telemetry_servers, "seen_at"),
    ),
    Rule("sessions", "sessions of the pages", lambda keep: keep.sessions, slices.older(tables.sessions, "expires_at")),
    Rule("tokens", "tokens that expired or were revoked", lambda keep: keep.tokens, slices.dead_tokens),
    Rule("ingest_keys", "revoked ingest keys", lambda keep: keep.ingest_keys, slices.older(tables.ingest_keys, "revoked_at")),
    Rule(
        "violation_audit",
        "records of changed states",
        lambda keep: keep.violation_audit,
        slices.older(tables.violation_audit, "at"),
    ),
    Rule("csp_alerts", "alerts", lambda keep: keep.alerts, slices.older(tables.csp_alerts, "raised_at")),
    *(
        Rule(
            table.name,
            "sums of AI bridge records that nothing was added to",
            lambda keep: keep.aibridge_totals,
            slices.older(table, "counted_at"),
        )
        for table in TOTALS
    ),
    Rule("writer_marks", "marks of ended writers", lambda keep: keep.writer_marks, slices.older(tables.writer_marks, "at")),
)


# On PostgreSQL alone. Of rows it is not known how many they were.
AGENT_DAYS = Rule("agent_days", "whole days of agent reports", lambda keep: keep.agent_stats, slices.old_days)


def interceptions_rule(now: int) -> Rule:
    """The rule of the AI bridge, which asks for two times: when an interception started, and when it arrived."""
    return Rule(
        "aibridge_interceptions",
        "interceptions with all that belongs to them",
        lambda keep: keep.aibridge,
        partial(old_interceptions, arrived_before=now - ARRIVED_WITHIN),
    )


async def purge(write: Write, keep: Retentions, *, now: int) -> dict[str, int]:
    """Apply every rule as of ``now`` (ms) and return freed space to the file system; how many rows (pages) by rule.

    The counts of folding are buckets folded; ``free_pages`` are pages returned, and ``agent_days`` whole days of agent
    reports dropped. Call it again after a failure: every slice that was committed stays done.
    """
    await write(partial(make_ahead, now=now))  # before all that may fail
    rules = (AGENT_DAYS, *RULES, interceptions_rule(now))
    counts = {rule.name: await _in_slices(write, partial(_sliced, rule=rule, cutoff=now - rule.age(keep))) for rule in rules}
    return {**counts, "free_pages": await _in_slices(write, slices.return_space)}


async def _in_slices(write: Write, work: Callable[[Connection, int], Slice]) -> int:
    total = 0
    after: int | None = 0
    while after is not None:
        done, after = await write(partial(_call, work=work, after=after))
        total += done
    return total


def _call(connection: Connection, *, work: Callable[[Connection, int], Slice], after: int) -> Slice:
    return work(connection, after)


def _sliced(connection: Connection, after: int, *, rule: Rule, cutoff: int) -> Slice:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    return rule.work(connection, cutoff, after)
