"""The statements that CSP reports are written with, built from the tables and compiled once a dialect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, bindparam, case, literal_column, select, update

from collector.persist.engine import insert
from collector.persist.statements import BulkStatement, Statement
from collector.persist.tables import (
    csp_minutes,
    csp_samples,
    csp_totals,
    drop_totals,
    noise_rule_totals,
    other_report_totals,
    violations,
)

COUNTED = (
    "count",
    "count_enforce",
    "count_report",
    "count_unknown",
    "first_seen",
    "last_seen",
    "document_origin",
    "disposition",
    "policy_allows",
)


def _violation(dialect: str) -> Any:
    new = insert(dialect, violations)
    old, given = violations.c, new.excluded
    newer = given.last_seen >= old.last_seen
    return new.on_conflict_do_update(
        index_elements=["fingerprint"],
        set_={
            "count": old.count + given.count,
            "count_enforce": old.count_enforce + given.count_enforce,
            "count_report": old.count_report + given.count_report,
            "count_unknown": old.count_unknown + given.count_unknown,
            "first_seen": case((given.first_seen < old.first_seen, given.first_seen), else_=old.first_seen),
            "last_seen": case((newer, given.last_seen), else_=old.last_seen),
            "document_origin": case((newer, given.document_origin), else_=old.document_origin),
            "disposition": case((newer, given.disposition), else_=old.disposition),
            "policy_allows": case((newer, given.policy_allows), else_=old.policy_allows),
        },
    )


def _counting() -> BulkStatement:
    """Add to violations that are there, which take the newest report's document and disposition along."""
    keys = ("id", "fingerprint", *COUNTED)
    given = BulkStatement.given(*keys)
    old, new = violations.c, given.c
    newer = new.last_seen >= old.last_seen
    first = case((new.first_seen < old.first_seen, new.first_seen), else_=old.first_seen)
    newest = ("last_seen", "document_origin", "disposition", "policy_allows")
    statement = (
        update(violations)
        .where(old.id == new.id, old.fingerprint == new.fingerprint)  # an id may be another's since
        .values(
            {old[name]: old[name] + new[name] for name in ("count", "count_enforce", "count_report", "count_unknown")}
            | {old.first_seen: first}
            | {old[name]: case((newer, new[name]), else_=old[name]) for name in newest}
        )
    )
    return BulkStatement(statement, keys)


def _minutes() -> BulkStatement:
    keys = [column.name for column in csp_minutes.c]
    given = BulkStatement.given(*keys)  # no violation is 0, as in the rows that fill up
    new = insert("sqlite", csp_minutes).from_select(keys, select(given).where(given.c.violation_id > literal_column("0")))
    return BulkStatement(_added(new, csp_minutes, *keys[2:]), keys)


def _minute(dialect: str) -> Any:
    columns = csp_minutes.c
    new = insert(dialect, csp_minutes).from_select(
        ["violation_id", "bucket", "enforce", "report", "unknown"],
        select(
            violations.c.id,
            bindparam("at", type_=columns.bucket.type),
            bindparam("n_enforce", type_=columns.enforce.type),
            bindparam("n_report", type_=columns.report.type),
            bindparam("n_unknown", type_=columns.unknown.type),
        ).where(violations.c.fingerprint == bindparam("fp")),
    )
    return _added(new, csp_minutes, "enforce", "report", "unknown")


def _totals() -> BulkStatement:
    keys = [column.name for column in csp_totals.c]
    given = BulkStatement.given(*keys)  # no project is 0
    new = insert("sqlite", csp_totals).from_select(keys, select(given).where(given.c.project_id > literal_column("0")))
    return BulkStatement(_added(new, csp_totals, "count"), keys, singly=_adding(csp_totals))


def _added(new: Any, to: Table, *sums: str) -> Any:
    """``new`` rows, whose ``sums`` are added to those of the rows that are there."""
    return new.on_conflict_do_update(
        index_elements=list(to.primary_key), set_={name: to.c[name] + new.excluded[name] for name in sums}
    )


def _sample(dialect: str) -> Any:
    columns = [column for column in csp_samples.c if column.name not in ("violation_id", "slot")]
    new = insert(dialect, csp_samples).from_select(
        ["violation_id", "slot", *(column.name for column in columns)],
        select(
            violations.c.id,
            bindparam("at_slot", type_=csp_samples.c.slot.type),
            *(bindparam(f"s_{column.name}", type_=column.type) for column in columns),
        ).where(violations.c.fingerprint == bindparam("fp")),
    )
    return new.on_conflict_do_update(
        index_elements=["violation_id", "slot"],
        set_={column.name: new.excluded[column.name] for column in columns},
        where=new.excluded.seen_at >= csp_samples.c.seen_at,
    )


def _adding(table: Table) -> Statement:
    return Statement(lambda dialect: _added(insert(dialect, table), table, "count"))


VIOLATION = Statement(_violation)
SAMPLE = Statement(_sample)
DROP = _adding(drop_totals)
OTHER = _adding(other_report_totals)
NOISE_RULE = _adding(noise_rule_totals)

TOTALS = _totals()
# On SQLite, where one process writes and so knows the ids of violations; elsewhere another one may have purged them since.
COUNT_KNOWN = _counting()
MINUTES = _minutes()
MINUTE = Statement(_minute)  # by fingerprint
