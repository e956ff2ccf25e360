"""Days of agent reports on PostgreSQL: each a partition of its own, made ahead and dropped whole.

``agent_stats`` is partitioned by ``received_at``, a day (UTC) each, and ``agent_stats_strays`` is its default partition: it
takes what no day is there for, so that no insert ever fails for want of one. On SQLite the table is one, and nothing here
does anything.

Whoever changes the set of partitions locks the whole table for the moment of the change: it waits no longer than
``LOCK_TIMEOUT_MS`` for those who use it, because everybody else waits behind it, and works no longer than ``WORK_TIMEOUT_MS``.
What did not come about is tried again by the next purge, days before it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
import structlog
from sqlalchemy import Connection, MetaData, func, select, text
from sqlalchemy.exc import DBAPIError

from collector.persist.tables import agent_stats

DAY_MS = 86_400_000
AHEAD = 3  # days: so long may retention fail before reports go astray
LOCK_TIMEOUT_MS = 500
WORK_TIMEOUT_MS = 5_000
ADVISORY_LOCK = 0x636F6C6C_64617973  # whoever changes the set of days: two processes that begin at once take turns
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PARENT = "agent_stats"
strays = agent_stats.to_metadata(MetaData(), name="agent_stats_strays")  # the same columns, for statements

log = structlog.get_logger(__name__)


class Day(NamedTuple):
    """One partition: the reports that were received in these milliseconds, the last one left out."""

    name: str
    begins: int
    ends: int


def is_partition(name: str | None) -> bool:
    """Whether a table is part of another one, and so not one of ``tables.py``."""
    return name == strays.name or _begin(name or "") is not None


def day_of(at: int) -> Day:
    """The partition for what is received ``at`` (ms)."""
    begins = at // DAY_MS * DAY_MS
    return Day(f"{PARENT}_{EPOCH + timedelta(milliseconds=begins):%Y%m%d}", begins, begins + DAY_MS)


def days(connection: Connection) -> list[Day]:
    """The days there are, oldest first."""
    begun = (_begin(name) for name in connection.scalars(text(_PARTITIONS), {"parent": PARENT}))
    return [day_of(begins) for begins in sorted(begins for begins in begun if begins is not None)]


def make_ahead(connection: Connection, *, now: int) -> int:
    """Make the days from ``now`` (ms) on that are not there yet, and return how many."""
    there = _days_locked(connection)
    if there is None:
        return 0
    lacking = [day for ahead in range(AHEAD + 1) if (day := day_of(now + ahead * DAY_MS)) not in there]
    return sum(_briefly(connection, day, _make) for day in lacking)


def drop_oldest(connection: Connection, *, before: int) -> int:
    """Drop the oldest day, with all its reports, if it ended by ``before`` (ms); how many were dropped: one or none."""
    oldest = next((day for day in _days_locked(connection) or () if day.ends <= before), None)
    return 0 if oldest is None else _briefly(connection, oldest, _drop)


def _days_locked(connection: Connection) -> list[Day] | None:
    """The days, which nobody else changes before this transaction ends; None where there are no partitions."""
    if connection.dialect.name != "postgresql":
        return None
    connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    return days(connection)


def _make(connection: Connection, day: Day) -> None:
    # In the order in which an insert takes its locks: the whole, then the part. Reports of other days still come in.
    connection.exec_driver_sql(f"LOCK TABLE ONLY {PARENT} IN SHARE UPDATE EXCLUSIVE MODE")
    connection.exec_driver_sql(f"LOCK TABLE {strays.name} IN ACCESS EXCLUSIVE MODE")
    # A table apart is attached, which PARTITION OF in CREATE TABLE would lock everybody out for.
    connection.exec_driver_sql(f"CREATE TABLE {day.name} (LIKE {PARENT} INCLUDING ALL)")
    moved = f"DELETE FROM {strays.name} WHERE received_at >= {day.begins} AND received_at < {day.ends} RETURNING *"  # noqa: S608 — all ours
    connection.exec_driver_sql(f"WITH moved AS ({moved}) INSERT INTO {day.name} SELECT * FROM moved")  # noqa: S608
    connection.exec_driver_sql(
        f"ALTER TABLE {PARENT} ATTACH PARTITION {day.name} FOR VALUES FROM ({day.begins}) TO ({day.ends})"
    )


def _drop(connection: Connection, day: Day) -> None:
    # Not by DETACH ... CONCURRENTLY: that works in no transaction, and not beside a default partition.
    connection.exec_driver_sql(f"DROP TABLE {day.name}")


def _briefly(connection: Connection, day: Day, work: Callable[[Connection, Day], None]) -> bool:
    """Do ``work`` behind a savepoint, or give it up when it would hold others up; whether it was done."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {WORK_TIMEOUT_MS}")
            work(connection, day)
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig is not None else None
        if not isinstance(cause, asyncpg.LockNotAvailableError | asyncpg.QueryCanceledError | asyncpg.DeadlockDetectedError):
            raise
        log.warning("a day of reports is changed later, others use the table", day=day.name, error=str(cause))
        return False
    return True


def _begin(name: str) -> int | None:
    """When the day begins that a table is named after; None if it is named after none."""
    named = re.fullmatch(rf"{PARENT}_(\d{{8}})", name)
    try:
        begins = datetime.strptime(f"{named[1]}+0000", "%Y%m%d%z") if named else None
    except ValueError:
        return None
    return None if begins is None else (begins - EPOCH) // timedelta(milliseconds=1)


_PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(:parent)
"""
