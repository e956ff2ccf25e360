"""Counts over time: minute buckets are folded into hours, hours into days, and one answer is read from all three.

Folding never changes a sum. A slice deletes the buckets it folds and adds them to the coarser ones in one transaction;
what the deletion returned is what is added, so a report that lands in an old bucket meanwhile is either in the slice or
stays for the next one.

On PostgreSQL a slice waits for nobody that could wait for it: it takes only buckets that no one else holds (SKIP LOCKED),
and adds to the coarser ones in the order of their key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, and_, delete, exists, func, select, tuple_

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import csp_days, csp_hours, csp_minutes, violations

HOUR, DAY = 60, 24 * 60  # in minutes, as buckets are

# A slice of 1,000 minute buckets holds SQLite's write lock for about 5 ms, and of 1,000 buckets that fold into as many for
# 15 ms (tests/test_growth.py times them).
SLICE_ROWS = 1_000
# Finding that a violation has nothing to fold is one look into an index, about 1 µs.
SLICE_VIOLATIONS = 1_000


class Slice(NamedTuple):
    """What one bounded piece of work did, and where the next begins."""

    done: int  # rows folded or deleted
    after: int | None  # to be given to the next slice; None: nothing is left


def fold_minutes(connection: Connection, *, before: int, after: int = 0, limit: int = SLICE_ROWS) -> Slice:
    """Fold up to ``limit`` minute buckets of the hours that ended by ``before`` (minutes since the epoch) into hours."""
    return _fold(connection, csp_minutes, HOURS, HOUR, before=before, after=after, limit=limit)


def fold_hours(connection: Connection, *, before: int, after: int = 0, limit: int = SLICE_ROWS) -> Slice:
    """Fold up to ``limit`` hour buckets of the UTC days that ended by ``before`` (minutes since the epoch) into days."""
    return _fold(connection, csp_hours, DAYS, DAY, before=before, after=after, limit=limit)


def _fold(connection: Connection, source: Table, into: Statement, span: int, *, before: int, after: int, limit: int) -> Slice:
    ids = select(violations.c.id).where(violations.c.id > after).order_by(violations.c.id).limit(SLICE_VIOLATIONS).subquery()
    whole = before - before % span  # a span is folded when it is over, never by halves
    due = (
        select(source.c.violation_id, source.c.bucket)
        # From the violations, because buckets are ordered by violation and not by time: without them every slice would read
        # 48 hours of buckets to find the oldest one. And in no order, or all that is due would be read to sort it.
        .join_from(ids, source, and_(source.c.violation_id == ids.c.id, source.c.bucket < whole))
        .limit(limit)
        .with_for_update(of=source, skip_locked=True)
        .cte("due")
    )
    key = tuple_(source.c.violation_id, source.c.bucket)
    taken = connection.execute(delete(source).where(key.in_(select(*due.c))).returning(*source.c)).all()
    if taken:
        _add(connection, into, span, taken)
    if len(taken) == limit:
        return Slice(limit, after)  # the same violations again: what was taken is gone
    upto: int | None = connection.scalar(select(func.max(ids.c.id)))
    return Slice(len(taken), upto)


def _add(connection: Connection, into: Statement, span: int, taken: Any) -> None:
    sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for violation_id, bucket, enforce, report, unknown in taken:
        total = sums[violation_id, bucket - bucket % span]
        total[0] += enforce
        total[1] += report
        total[2] += unknown
    into.execute_many(
        connection,
        [
            {"violation_id": key[0], "bucket": key[1], "enforce": total[0], "report": total[1], "unknown": total[2]}
            for key, total in sorted(sums.items())
        ],
    )


class Reach(NamedTuple):
    """Which buckets a series is made of."""

    condition: Any  # on violations
    since: int  # minutes since the epoch
    until: int


def coarsest(connection: Connection, reach: Reach) -> int:
    """How finely the time in ``reach`` is known throughout: 1, 60 or 1,440 minutes."""
    for table, span in ((csp_days, DAY), (csp_hours, HOUR)):
        found = exists().where(*_within(table, reach._replace(since=reach.since - reach.since % span)))
        if connection.scalar(select(found)):
            return span
    return 1


def summed(connection: Connection, reach: Reach, step: int) -> dict[int, tuple[int, int, int]]:
    """Reports (enforced, reported, unknown) in ``reach`` by the first minute of their step; a step of none is left out."""
    sums: dict[int, tuple[int, int, int]] = {}
    for table in (csp_days, csp_hours, csp_minutes):
        start = (table.c.bucket - table.c.bucket % step).label("start")
        counts = (func.sum(column) for column in (table.c.enforce, table.c.report, table.c.unknown))
        for at, *more in connection.execute(select(start, *counts).where(*_within(table, reach)).group_by(start)):
            old = sums.get(at, (0, 0, 0))
            sums[at] = old[0] + int(more[0]), old[1] + int(more[1]), old[2] + int(more[2])
    return sums


def _within(table: Table, reach: Reach) -> tuple[Any, ...]:
    in_time = and_(table.c.bucket >= reach.since, table.c.bucket < reach.until)
    return (table.c.violation_id == violations.c.id, in_time, reach.condition)


def _adding(table: Table, dialect: str) -> Any:
    new = insert(dialect, table)
    return new.on_conflict_do_update(
        index_elements=["violation_id", "bucket"],
        set_={name: table.c[name] + new.excluded[name] for name in ("enforce", "report", "unknown")},
    )


def _statement(table: Table) -> Statement:
    build: Callable[[str], Any] = partial(_adding, table)
    return Statement(build)


HOURS = _statement(csp_hours)
DAYS = _statement(csp_days)
