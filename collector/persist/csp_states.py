"""What people decided about violations: their states, who set them, and what is ignored from its first report on.

A resolved violation is reopened by a report under a policy that was not known when it was resolved: the site has changed
since, and it is broken again. Reports under the old policies come from pages that browsers still have in their caches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, and_, delete, exists, func, insert, or_, select, update

from collector.persist.tables import csp_policies, ignore_rules, violation_audit, violation_facets, violations
from collector.wire.errors import InvalidInput, NotFound
from collector.wire.violations import State

RULES_AT_MOST = 1_000
AT_ONCE = 500  # SQLite's limit on variables of one statement was 999 for long
BY_RULE, BY_REPORT = "rule", "report"  # who changed a state when nobody did; no user has these names


class IgnoreRule(NamedTuple):
    """Violations that are ignored from the first: each of project, directive and key is any when None."""

    id: int
    project_id: int | None
    effective_directive: str | None
    blocked_key: str | None
    note: str | None
    created_at: int
    created_by: str


def set_state(
    connection: Connection, fingerprints: Sequence[str], state: State, *, by: str, now: int, note: str | None = None
) -> int:
    """Give these violations a state; how many were in another. Each change is recorded."""
    changed = 0
    for start in range(0, len(fingerprints), AT_ONCE):
        columns = violations.c.id, violations.c.fingerprint, violations.c.project_id, violations.c.state
        others = violations.c.fingerprint.in_(fingerprints[start : start + AT_ONCE]) & (violations.c.state != state.value)
        # In the order in which intake locks them.
        rows = connection.execute(select(*columns).where(others).order_by(violations.c.fingerprint).with_for_update()).all()
        for row in rows:
            under = _policies(connection, row.id) if state is State.RESOLVED else None
            new = {"state": state.value, "state_at": now, "state_by": by, "resolved_under": under}
            connection.execute(update(violations).where(violations.c.id == row.id).values(new))
        _record(connection, rows, state, by=by, now=now, note=note)
        changed += len(rows)
    return changed


def set_state_of_all(
    connection: Connection, fingerprints: Sequence[str], state: State, *, by: str, now: int, note: str | None = None
) -> int:
    """The same of all of these violations or of none.

    Raises:
        NotFound: one of them is not there, or no longer.
    """
    column = violations.c.fingerprint
    for start in range(0, len(fingerprints), AT_ONCE):
        asked = set(fingerprints[start : start + AT_ONCE])
        found = connection.execute(select(column).where(column.in_(asked)).order_by(column).with_for_update()).all()
        if len(found) < len(asked):
            raise NotFound("One of these violations is no longer there, so nothing was changed.")
    return set_state(connection, fingerprints, state, by=by, now=now, note=note)


def reopen(connection: Connection, seen: Iterable[tuple[str, str]], *, now: int) -> None:
    """Open again what is resolved and was now seen, (fingerprint, hash), under a policy that was not known then."""
    pairs = set(seen)
    if not pairs:
        return
    columns = violations.c
    newer = and_(csp_policies.c.project_id == columns.project_id, csp_policies.c.first_seen > columns.state_at)
    resolved = (
        select(columns.id, columns.fingerprint, columns.project_id, columns.state, columns.resolved_under, csp_policies.c.hash)
        .join_from(violations, csp_policies, newer)
        .where(columns.fingerprint.in_(sorted({name for name, _ in pairs})), columns.state == State.RESOLVED.value)
        .order_by(columns.fingerprint)
        .with_for_update(of=violations)
    )
    rows = {
        row.id: row
        for row in connection.execute(resolved)
        if (row.fingerprint, row.hash) in pairs and row.hash not in msgspec.json.decode(row.resolved_under or "[]")
    }
    if rows:
        new = {"state": State.OPEN.value, "state_at": now, "state_by": BY_REPORT, "resolved_under": None}
        connection.execute(update(violations).where(columns.id.in_(list(rows))).values(new))
        _record(connection, list(rows.values()), State.OPEN, by=BY_REPORT, now=now, note="seen under a policy that is new")


def ignore_new(connection: Connection, fingerprints: Sequence[str], *, now: int) -> None:
    """Ignore those of these violations that a rule says so of, and whose state nobody has ever changed."""
    rule, columns = ignore_rules.c, violations.c
    applies = exists().where(
        or_(rule.project_id.is_(None), rule.project_id == columns.project_id),
        or_(rule.effective_directive.is_(None), rule.effective_directive == columns.effective_directive),
        or_(rule.blocked_key.is_(None), rule.blocked_key == columns.blocked_key),
    )
    for start in range(0, len(fingerprints), AT_ONCE):
        untouched = columns.fingerprint.in_(fingerprints[start : start + AT_ONCE]) & columns.state_at.is_(None)
        new = {"state": State.IGNORED.value, "state_at": now, "state_by": BY_RULE}
        connection.execute(update(violations).where(untouched, applies).values(new))


def create_ignore_rule(
    connection: Connection,
    *,
    project_id: int | None,
    effective_directive: str | None,
    blocked_key: str | None,
    note: str | None,
    by: str,
    now: int,
) -> IgnoreRule:
    """Make a rule, which also holds for open violations whose state nobody has ever changed.

    Raises:
        InvalidInput: the rule would ignore everything, or there are 1,000 already.
    """
    if effective_directive is None and blocked_key is None:
        raise InvalidInput("A rule needs a directive or something that is blocked: this one would ignore everything.")
    if (connection.scalar(select(func.count()).select_from(ignore_rules)) or 0) >= RULES_AT_MOST:
        raise InvalidInput(f"There are {RULES_AT_MOST} rules already.")
    values = {
        "project_id": project_id,
        "effective_directive": effective_directive,
        "blocked_key": blocked_key,
        "note": note,
        "created_at": now,
        "created_by": by,
    }
    made = connection.scalar(insert(ignore_rules).values(values).returning(ignore_rules.c.id))
    given = {name: value for name, value in list(values.items())[:3] if value is not None}
    matching = and_(violations.c.state_at.is_(None), *(violations.c[name] == value for name, value in given.items()))
    new = {"state": State.IGNORED.value, "state_at": now, "state_by": BY_RULE}
    connection.execute(update(violations).where(matching).values(new))
    return IgnoreRule(made or 0, project_id, effective_directive, blocked_key, note, now, by)


def list_ignore_rules(connection: Connection) -> list[IgnoreRule]:
    """All rules, oldest first."""
    return [IgnoreRule(*row) for row in connection.execute(select(ignore_rules).order_by(ignore_rules.c.id))]


def delete_ignore_rule(connection: Connection, rule_id: int) -> None:
    """End a rule. What it has ignored stays ignored.

    Raises:
        NotFound: there is no such rule.
    """
    gone = connection.execute(delete(ignore_rules).where(ignore_rules.c.id == rule_id).returning(ignore_rules.c.id)).first()
    if gone is None:
        raise NotFound("There is no such rule.")


def _policies(connection: Connection, violation_id: int) -> str:
    facets = violation_facets.c
    known = select(facets.value).where(facets.violation_id == violation_id, facets.kind == "policy", facets.value != "")
    return msgspec.json.encode(sorted(connection.scalars(known))).decode()


def _record(connection: Connection, rows: Sequence[object], state: State, *, by: str, now: int, note: str | None) -> None:
    if rows:
        of = {"at": now, "state_by": by, "new_state": state.value, "note": note}
        values = [
            {"project_id": row.project_id, "fingerprint": row.fingerprint, "old_state": row.state, **of}  # type: ignore[attr-defined]
            for row in rows
        ]
        connection.execute(insert(violation_audit), values)
