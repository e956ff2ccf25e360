"""How long each kind of row is kept, and the deletion of what is older.

Everything is done in slices: one short transaction each, through the service's writer, which stores what has come in between
any two of them. A slice deletes only rows that nobody else holds (SKIP LOCKED on PostgreSQL), so it never waits for intake
in a circle; what it left is found by the next purge. The running sums in ``*_totals`` are never touched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, cast, delete, func, literal, or_, select, tuple_

from collector.persist import tables
from collector.rollup.aibridge import old_interceptions
from collector.rollup.csp import SLICE_ROWS, Slice, fold_hours, fold_minutes

T = TypeVar("T")

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# Two processes may keep house at once while leadership changes: on PostgreSQL their slices take turns under this lock.
ADVISORY_LOCK = 0x636F6C6C_686F7573
WALKED_PER_SLICE = 5_000
ARRIVED_WITHIN = DAY_MS  # an old log that is read in can be looked at for a day
UNSEEN_PER_SLICE, UNSEEN_AT_ONCE = 200, 10  # violations; one has up to 5,000 buckets, usually a few hundred
PAGES_PER_SLICE = 500  # about 15 ms: each moves up to one page of 4 KiB from the end of the file into a hole


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
    snapshots: int = 30 * DAY_MS
    tokens: int = 7 * DAY_MS  # since they expired or were revoked
    sessions: int = 0  # since they ended
    ingest_keys: int = 90 * DAY_MS  # since they were revoked
    writer_marks: int = DAY_MS
    violation_audit: int = 365 * DAY_MS
    alerts: int = 90 * DAY_MS
    aibridge: int = 60 * DAY_MS  # since an interception started


class Rule(NamedTuple):
    """One line of the table below."""

    name: str  # what the rows are counted under, in the log and in metrics
    what: str
    age: Callable[[Retentions], int]  # ms
    work: Callable[[Connection, int, int], Slice]  # (connection, cutoff in ms, where to go on)


def _chosen_deleted(connection: Connection, table: Table, chosen: Select[tuple[object, ...]]) -> int:
    """Delete the rows of ``table`` whose primary keys ``chosen`` selects; returns how many."""
    due = chosen.with_for_update(skip_locked=True).cte("due")
    key = tuple_(*table.primary_key.columns)
    # Counted by what comes back: sqlite3 has no rowcount for a statement that begins with WITH.
    return len(connection.execute(delete(table).where(key.in_(select(*due.c))).returning(*table.primary_key.columns)).all())


def _older(table: Table, time: str, condition: ColumnElement[bool] | None = None) -> Callable[[Connection, int, int], Slice]:
    """A slice of the rows whose ``time`` is before the cutoff, oldest first: wants an index on it, or a small table."""

    def work(connection: Connection, cutoff: int, _after: int) -> Slice:
        column = table.c[time]
        chosen = select(*table.primary_key.columns).where(column < cutoff).order_by(column).limit(SLICE_ROWS)
        if condition is not None:
            chosen = chosen.where(condition)
        done = _chosen_deleted(connection, table, chosen)
        return Slice(done, 0 if done == SLICE_ROWS else None)

    return work


def _silent_agents(connection: Connection, cutoff: int, after: int) -> Slice:
    """Walk the agents by id: an index on ``last_seen`` would be written with every report, for the sake of this."""
    agents = tables.agents.c
    ids = select(agents.id).where(agents.id > after).order_by(agents.id).limit(WALKED_PER_SLICE)
    upto = connection.scalar(select(func.max(ids.subquery().c.id)))
    if upto is None:
        return Slice(0, None)
    silent = select(agents.id).where(agents.id > after, agents.id <= upto, agents.last_seen < cutoff).order_by(agents.id)
    return Slice(_chosen_deleted(connection, tables.agents, silent), upto)


OF_A_VIOLATION = (
    tables.csp_minutes,
    tables.csp_hours,
    tables.csp_days,
    tables.csp_samples,
    tables.violation_facets,
    tables.violation_clients,
    tables.csp_alerts,
)


def _unseen_violations(connection: Connection, cutoff: int, after: int) -> Slice:
    """What no project keeps any longer."""
    return _violations_slice(connection, tables.violations.c.last_seen < cutoff, after)


def _expired_violations(connection: Connection, now: int, after: int) -> Slice:
    """What its project does not keep any longer, where that is for less long."""
    projects = tables.projects.c
    kept = cast(projects.retention_days, BigInteger) * literal(DAY_MS, BigInteger)
    cutoff = select(literal(now, BigInteger) - kept).where(projects.id == tables.violations.c.project_id)
    return _violations_slice(connection, tables.violations.c.last_seen < cutoff.scalar_subquery(), after)


def _violations_slice(connection: Connection, due: ColumnElement[bool], after: int) -> Slice:
    """Walk the violations by id, and delete the unseen with all their buckets and samples until a slice is full."""
    columns = tables.violations.c
    walked = select(columns.id).where(columns.id > after).order_by(columns.id).limit(WALKED_PER_SLICE)
    upto = connection.scalar(select(func.max(walked.subquery().c.id)))
    if upto is None:
        return Slice(0, None)
    unseen = select(columns.id).where(columns.id > after, columns.id <= upto, due)
    unseen = unseen.order_by(columns.id).limit(UNSEEN_PER_SLICE)
    ids = connection.scalars(unseen.with_for_update(skip_locked=True)).all()
    done = rows = 0
    while done < len(ids) and rows < SLICE_ROWS:
        few = ids[done : done + UNSEEN_AT_ONCE]
        # By name, though the foreign keys would do it: a slice must know how much it has deleted.
        for table in OF_A_VIOLATION:
            rows += connection.execute(delete(table).where(table.c.violation_id.in_(few))).rowcount
        connection.execute(delete(tables.violations).where(columns.id.in_(few)))
        done += len(few)
    return Slice(done, after if done < len(ids) or done == UNSEEN_PER_SLICE else upto)


def _folded_minutes(connection: Connection, cutoff: int, after: int) -> Slice:
    return fold_minutes(connection, before=cutoff // MINUTE_MS, after=after)


def _folded_hours(connection: Connection, cutoff: int, after: int) -> Slice:
    return fold_hours(connection, before=cutoff // MINUTE_MS, after=after)


def _dead_tokens(connection: Connection, cutoff: int, _after: int) -> Slice:
    """Tokens are few enough to be looked through."""
    tokens = tables.tokens.c
    dead = select(tokens.id).where(or_(tokens.expires_at < cutoff, tokens.revoked_at < cutoff)).limit(SLICE_ROWS)
    done = _chosen_deleted(connection, tables.tokens, dead)
    return Slice(done, 0 if done == SLICE_ROWS else None)


RULES = (
    Rule("project_violations", "violations that their project does not keep for so long", lambda _keep: 0, _expired_violations),
    # Violations before the folding of their buckets, which would be for nothing.
    Rule("violations", "violations not seen for that long", lambda keep: keep.violations, _unseen_violations),
    Rule(
        "csp_policies",
        "policies not seen for as long as violations are kept",
        lambda keep: keep.violations,
        _older(tables.csp_policies, "last_seen"),
    ),
    Rule("csp_minutes", "counts by the minute, folded into hours", lambda keep: keep.csp_minutes, _folded_minutes),
    Rule("csp_hours", "counts by the hour, folded into days", lambda keep: keep.csp_hours, _folded_hours),
    Rule(
        "csp_scripts", "scripts not loaded for as long", lambda keep: keep.violations, _older(tables.csp_scripts, "last_seen")
    ),
    Rule("other_samples", "samples beside CSP", lambda keep: keep.violations, _older(tables.other_samples, "seen_at")),
    Rule("agent_stats", "agent reports", lambda keep: keep.agent_stats, _older(tables.agent_stats, "received_at")),
    Rule(
        "agent_report_ids",
        "ids of agent reports, which are recognized for twice as long as the reports are kept",
        lambda keep: 2 * keep.agent_stats,
        _older(tables.agent_report_ids, "received_at"),
    ),
    Rule("agents", "agents without a report", lambda keep: keep.agent_stats, _silent_agents),
    Rule(
        "workspaces",
        "deleted workspaces",
        lambda keep: keep.workspaces,
        _older(tables.workspaces, "updated_at", tables.workspaces.c.deleted),
    ),
    Rule("snapshots", "snapshots", lambda keep: keep.snapshots, _older(tables.snapshots, "collected_at")),
    Rule("sessions", "sessions of the pages", lambda keep: keep.sessions, _older(tables.sessions, "expires_at")),
    Rule("tokens", "tokens that expired or were revoked", lambda keep: keep.tokens, _dead_tokens),
    Rule("ingest_keys", "revoked ingest keys", lambda keep: keep.ingest_keys, _older(tables.ingest_keys, "revoked_at")),
    Rule(
        "violation_audit",
        "records of changed states",
        lambda keep: keep.violation_audit,
        _older(tables.violation_audit, "at"),
    ),
    Rule("csp_alerts", "alerts", lambda keep: keep.alerts, _older(tables.csp_alerts, "raised_at")),
    Rule("writer_marks", "marks of ended writers", lambda keep: keep.writer_marks, _older(tables.writer_marks, "at")),
)


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

    The counts of folding are buckets folded; ``free_pages`` are pages returned. Call it again after a failure: every
    slice that was committed stays done.
    """
    rules = (*RULES, interceptions_rule(now))
    counts = {rule.name: await _in_slices(write, partial(_sliced, rule=rule, cutoff=now - rule.age(keep))) for rule in rules}
    return {**counts, "free_pages": await _in_slices(write, return_space)}


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


def return_space(connection: Connection, _after: int = 0, *, limit: int = PAGES_PER_SLICE) -> Slice:
    """Give up to ``limit`` free pages of a SQLite file back to the file system. The file is cut at the next checkpoint.

    PostgreSQL is left to its autovacuum, which keeps the space for rows to come.
    """
    if connection.dialect.name != "sqlite":
        return Slice(0, None)
    free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    pages = min(free, limit)
    cursor = connection.connection.cursor()
    for _ in range(pages):
        # The pragma frees a page for each step of its statement, and sqlite3 steps once through what has no columns:
        # "incremental_vacuum(500)" would free one. executescript() would step on, but commits the transaction first.
        cursor.execute("PRAGMA incremental_vacuum(1)")
    cursor.close()
    return Slice(pages, 0 if pages < free else None)
