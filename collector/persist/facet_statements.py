"""The statements that facets are read and written with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, literal, select

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import violation_facets, violations

AT_ONCE = 500  # SQLite's limit on variables of one statement was 999 for long


def lock(connection: Connection, fingerprints: Iterable[str]) -> None:
    """Hold these violations as intake does, in its order: who writes their facets first holds them, and so none deadlocks."""
    if connection.dialect.name == "sqlite":  # which has one writer
        return
    wanted = sorted(fingerprints)
    named = select(violations.c.id).where(violations.c.fingerprint.in_(wanted)).order_by(violations.c.fingerprint)
    connection.execute(named.with_for_update(key_share=True))


def known_values(connection: Connection, fingerprints: Sequence[str]) -> Iterator[tuple[str, str, str, int]]:
    """The stored values of these violations: (fingerprint, kind, value, when it was last received)."""
    facets = violation_facets.c
    for start in range(0, len(fingerprints), AT_ONCE):
        of_these = violations.c.fingerprint.in_(fingerprints[start : start + AT_ONCE])
        columns = violations.c.fingerprint, facets.kind, facets.value, facets.last_seen
        for row in connection.execute(select(*columns).join_from(violation_facets, violations).where(of_these)):
            yield tuple(row)


def forget_values(connection: Connection, values: Iterable[tuple[str, str, str]]) -> None:
    """Count these values (fingerprint, kind, value) among the others of their kind and remove them."""
    facets = violation_facets.c
    for fingerprint, kind, value in values:
        of_violation = select(violations.c.id).where(violations.c.fingerprint == fingerprint).scalar_subquery()
        chosen = (facets.violation_id == of_violation) & (facets.kind == kind) & (facets.value == value)
        columns = (
            facets.violation_id,
            facets.kind,
            literal("").label("value"),
            facets.count,
            facets.first_seen,
            facets.last_seen,
        )
        new = insert(connection.dialect.name, violation_facets)
        moved = new.from_select([column.name for column in facets], select(*columns).where(chosen))
        connection.execute(_summed(moved))
        connection.execute(delete(violation_facets).where(chosen))


def _facet(dialect: str) -> Any:
    columns = violation_facets.c
    new = insert(dialect, violation_facets).from_select(
        [column.name for column in columns],
        select(
            violations.c.id,
            bindparam("of_kind", type_=columns.kind.type),
            bindparam("of_value", type_=columns.value.type),
            bindparam("n", type_=columns.count.type),
            bindparam("at", type_=columns.first_seen.type),
            bindparam("at_last", type_=columns.last_seen.type),
        ).where(violations.c.fingerprint == bindparam("fp")),
    )
    return _summed(new)


def _summed(new: Any) -> Any:
    old, given = violation_facets.c, new.excluded
    return new.on_conflict_do_update(
        index_elements=["violation_id", "kind", "value"],
        set_={
            "count": old.count + given.count,
            "first_seen": case((given.first_seen < old.first_seen, given.first_seen), else_=old.first_seen),
            "last_seen": case((given.last_seen > old.last_seen, given.last_seen), else_=old.last_seen),
        },
    )


FACET = Statement(_facet)
