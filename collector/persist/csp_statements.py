"""The statements that CSP reports are written with, built from the tables and compiled once a dialect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, bindparam, case, literal_column, select, true, update

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
    keys = ("fingerprint", *COUNTED)
    given = BulkStatement.given(*keys)
    old, new = violations.c, given.c
    newer = new.last_seen >= old.last_seen
    first = case((new.first_seen < old.first_seen, new.first_seen), else_=old.first_seen)
    newest = ("last_seen", "document_origin", "disposition", "policy_allows")
    statement = (
        update(violations)
        .where(old.fingerprint == new.fingerprint)
        .values(
            {old[name]: old[name] + new[name] for name in ("count", "count_enforce", "count_report", "count_unknown")}
            | {old.first_seen: first}
            | {old[name]: case((newer, new[name]), else_=old[name]) for name in newest}
        )
    )
    return BulkStatement(statement, keys)


def _minutes() -> BulkStatement:
    keys = ("fp", "at", "n_enforce", "n_report", "n_unknown")
    given = BulkStatement.given(*keys)
    rows = select(violations.c.id, *(given.c[key] for key in keys[1:])).join_from(
        given, violations, violations.c.fingerprint == given.c.fp
    )
    # WHERE, or SQLite takes ON CONFLICT for a part of the join: https://www.sqlite.org/lang_upsert.html, "Parsing Ambiguity".
    new = insert("sqlite", csp_minutes).from_select([column.name for column in csp_minutes.c], rows.where(true()))
    sums = {name: csp_minutes.c[name] + new.excluded[name] for name in ("enforce", "report", "unknown")}
    return BulkStatement(new.on_conflict_do_update(index_elements=["violation_id", "bucket"], set_=sums), keys)


def _totals() -> BulkStatement:
    keys = [column.name for column in csp_totals.c]
    given = BulkStatement.given(*keys)  # no project is 0, as in the rows that fill up
    new = insert("sqlite", csp_totals).from_select(keys, select(given).where(given.c.project_id > literal_column("0")))
    sums = {"count": csp_totals.c.count + new.excluded.count}
    return BulkStatement(new.on_conflict_do_update(index_elements=keys[:-1], set_=sums), keys)


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
    return new.on_conflict_do_update(
        index_elements=["violation_id", "bucket"],
        set_={name: columns[name] + new.excluded[name] for name in ("enforce", "report", "unknown")},
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


def _adding(table: Table, *keys: str) -> Statement:
    def build(dialect: str) -> Any:
        new = insert(dialect, table)
        return new.on_conflict_do_update(index_elements=list(keys), set_={"count": table.c.count + new.excluded.count})

    return Statement(build)


VIOLATION = Statement(_violation)
MINUTE = Statement(_minute)
SAMPLE = Statement(_sample)
TOTAL = _adding(csp_totals, "project_id", "effective_directive", "disposition", "noise_class")
DROP = _adding(drop_totals, "project_id", "reason")
OTHER = _adding(other_report_totals, "project_id", "type")
NOISE_RULE = _adding(noise_rule_totals, "project_id", "rule")

COUNT_KNOWN = _counting()
MINUTES: dict[str, BulkStatement | Statement] = {"sqlite": _minutes(), "postgresql": MINUTE}
TOTALS: dict[str, BulkStatement | Statement] = {"sqlite": _totals(), "postgresql": TOTAL}
