"""The slices that retention works in: each deletes or folds a bounded number of rows in one short transaction.

A slice deletes only rows that nobody else holds (SKIP LOCKED on PostgreSQL), so it never waits for intake in a circle; what
it left is found by the next purge.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, cast, delete, func, literal, or_, select, tuple_

from collector.persist import partitions, tables
from collector.rollup.csp import SLICE_ROWS, Slice, fold_hours, fold_minutes

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WALKED_PER_SLICE = 5_000
UNSEEN_PER_SLICE, UNSEEN_AT_ONCE = 200, 10  # violations; one has up to 5,000 buckets, usually a few hundred
PAGES_PER_SLICE = 500  # about 15 ms: each moves up to one page of 4 KiB from the end of the file into a hole

Work = Callable[[Connection, int, int], Slice]  # (connection, cutoff in ms, where to go on)


def _chosen_deleted(connection: Connection, table: Table, chosen: Select[tuple[object, ...]]) -> int:
    """Delete the rows of ``table`` whose primary keys ``chosen`` selects; returns how many."""
    due = chosen.with_for_update(skip_locked=True).cte("due")
    key = tuple_(*table.primary_key.columns)
    # Counted by what comes back: sqlite3 has no rowcount for a statement that begins with WITH.
    return len(connection.execute(delete(table).where(key.in_(select(*due.c))).returning(*table.primary_key.columns)).all())


def older(table: Table, time: str, condition: ColumnElement[bool] | None = None) -> Work:
    """A slice of the rows whose ``time`` is before the cutoff, oldest first: wants an index on it, or a small table."""

    def work(connection: Connection, cutoff: int, _after: int) -> Slice:
        column = table.c[time]
        chosen = select(*table.primary_key.columns).where(column < cutoff).order_by(column).limit(SLICE_ROWS)
        if condition is not None:
            chosen = chosen.where(condition)
        done = _chosen_deleted(connection, table, chosen)
        return Slice(done, 0 if done == SLICE_ROWS else None)

    return work


def old_reports(connection: Connection, cutoff: int, after: int) -> Slice:
    """Agent reports one by one: on PostgreSQL only those that are astray, since days of them are dropped."""
    table = partitions.strays if connection.dialect.name == "postgresql" else tables.agent_stats
    return older(table, "received_at")(connection, cutoff, after)


def old_days(connection: Connection, cutoff: int, _after: int) -> Slice:
    """A day of agent reports, all of them before the cutoff, at once."""
    dropped = partitions.drop_oldest(connection, before=cutoff)
    return Slice(dropped, 0 if dropped else None)


def silent_agents(connection: Connection, cutoff: int, after: int) -> Slice:
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


def unseen_violations(connection: Connection, cutoff: int, after: int) -> Slice:
    """What no project keeps any longer."""
    return _violations_slice(connection, tables.violations.c.last_seen < cutoff, after)


def expired_violations(connection: Connection, now: int, after: int) -> Slice:
    """What its project does not keep any longer, where that is for less long."""
    projects = tables.projects.c
    kept = cast(projects.retention_days, BigInteger) * literal(DAY_MS, BigInteger)
    cutoff = select(literal(now, BigInteger) - kept).where(projects.id == tables.violations.c.project_id)
    return _violations_slice(connection, tables.violations.c.last_seen < cutoff.scalar_subquery(), after)


def _violations_slice(connection: Connection, due: ColumnElement[bool], after: int) -> Slice:
    """Walk the violations by id, and delete the unseen with all their buckets and samples until a slice is full."""
    columns = tables.violations.c
    window = select(columns.id).where(columns.id > after).order_by(columns.id).limit(WALKED_PER_SLICE)
    upto = connection.scalar(select(func.max(window.subquery().c.id)))
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


def walked(table: Table, due: ColumnElement[bool]) -> Work:
    """A slice of the rows whose ``seen_at`` is before the cutoff, which are walked in its order: those that are due go."""
    seen_at = table.c.seen_at

    def work(connection: Connection, cutoff: int, after: int) -> Slice:
        window = select(seen_at).where(seen_at > after, seen_at < cutoff).order_by(seen_at).limit(WALKED_PER_SLICE)
        upto = connection.scalar(select(func.max(window.subquery().c.seen_at)))
        if upto is None:
            return Slice(0, None)
        chosen = select(*table.primary_key.columns).where(seen_at > after, seen_at <= upto, due)
        return Slice(_chosen_deleted(connection, table, chosen), upto)

    return work


def folded_minutes(connection: Connection, cutoff: int, after: int) -> Slice:
    """Counts by the minute become counts by the hour."""
    return fold_minutes(connection, before=cutoff // MINUTE_MS, after=after)


def folded_hours(connection: Connection, cutoff: int, after: int) -> Slice:
    """Counts by the hour become counts by the day."""
    return fold_hours(connection, before=cutoff // MINUTE_MS, after=after)


def dead_tokens(connection: Connection, cutoff: int, _after: int) -> Slice:
    """Tokens are few enough to be looked through."""
    tokens = tables.tokens.c
    dead = select(tokens.id).where(or_(tokens.expires_at < cutoff, tokens.revoked_at < cutoff)).limit(SLICE_ROWS)
    done = _chosen_deleted(connection, tables.tokens, dead)
    return Slice(done, 0 if done == SLICE_ROWS else None)


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
