"""Two violations made one: what the tables have of one is added to what they have of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, literal, select, true, update

from collector.persist.csp_facets import OTHER, VALUES_PER_KIND
from collector.persist.csp_ranks import Rank, together
from collector.persist.engine import insert
from collector.persist.sketch import estimate, packed, unpacked
from collector.persist.sketch import merge as merge_sketch
from collector.persist.tables import (
    csp_alerts,
    csp_days,
    csp_hours,
    csp_minutes,
    csp_samples,
    violation_clients,
    violation_facets,
    violations,
)


def merge(connection: Connection, gone: int, *, into: int) -> None:
    """Add all that is stored of the violation ``gone`` to another, both by their ids, and delete it.

    The other keeps its state: somebody may have judged it, and what comes to it has the same fingerprint.
    """
    _add_counts(connection, gone, into)
    for table in MERGES.values():
        table(connection, gone, into)
    connection.execute(delete(violations).where(violations.c.id == gone))


def _add_counts(connection: Connection, gone: int, into: int) -> None:
    found = connection.execute(select(violations).where(violations.c.id.in_((gone, into)))).mappings()
    rows = {row["id"]: row for row in found}
    old, other = rows[into], rows[gone]
    newer = max(old, other, key=lambda row: row["last_seen"])
    rank = together(*(Rank(*(row[name] for name in Rank._fields)) for row in (old, other)))
    values = {
        **{name: old[name] + other[name] for name in ("count", "count_enforce", "count_report", "count_unknown")},
        **{name: min(old[name], other[name]) for name in ("first_seen", "stored_at")},
        **{name: newer[name] for name in ("last_seen", "document_origin", "disposition", "policy_allows")},
        **rank._asdict(),
    }
    connection.execute(update(violations).where(violations.c.id == into).values(values))


def _add_buckets(table: Table) -> Callable[[Connection, int, int], None]:
    def add(connection: Connection, gone: int, into: int) -> None:
        new = _copied(connection, table, gone, into)
        sums = {name: table.c[name] + new.excluded[name] for name in ("enforce", "report", "unknown")}
        connection.execute(new.on_conflict_do_update(index_elements=["violation_id", "bucket"], set_=sums))

    return add


def _add_samples(connection: Connection, gone: int, into: int) -> None:
    """Of two samples in one slot the newer stays."""
    new = _copied(connection, csp_samples, gone, into)
    values = {column.name: new.excluded[column.name] for column in csp_samples.c if not column.primary_key}
    newer = new.excluded.seen_at > csp_samples.c.seen_at
    connection.execute(new.on_conflict_do_update(index_elements=["violation_id", "slot"], set_=values, where=newer))


def _copied(connection: Connection, table: Table, gone: int, into: int) -> Any:
    rest = [column for column in table.c if column.name != "violation_id"]
    # "WHERE true": without it SQLite takes ON CONFLICT for a part of the SELECT.
    rows = select(literal(into), *rest).where(table.c.violation_id == gone, true())
    return insert(connection.dialect.name, table).from_select(["violation_id", *(column.name for column in rest)], rows)


def _add_facets(connection: Connection, gone: int, into: int) -> None:
    """Values that both have add up; of the others as many stay as may, those with the most reports."""
    columns = violation_facets.c
    rows = connection.execute(select(violation_facets).where(columns.violation_id.in_((gone, into)))).all()
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        _sum(sums, row.kind, row.value, row._asdict())
    for kind in {kind for kind, _ in sums}:
        own = sorted((key for key in sums if key[0] == kind and key[1] != OTHER), key=lambda key: -sums[key]["count"])
        for key in own[VALUES_PER_KIND:]:
            _sum(sums, kind, OTHER, sums.pop(key))
    connection.execute(delete(violation_facets).where(columns.violation_id == into))
    if sums:
        values = [{"violation_id": into, "kind": kind, "value": value, **sum_} for (kind, value), sum_ in sums.items()]
        connection.execute(insert(connection.dialect.name, violation_facets), values)


def _sum(sums: dict[tuple[str, str], dict[str, Any]], kind: str, value: str, row: Mapping[str, Any]) -> None:
    known = sums.get((kind, value))
    sums[kind, value] = {
        "count": row["count"] + (known["count"] if known else 0),
        "first_seen": min(row["first_seen"], known["first_seen"]) if known else row["first_seen"],
        "last_seen": max(row["last_seen"], known["last_seen"]) if known else row["last_seen"],
    }


def _add_clients(connection: Connection, gone: int, into: int) -> None:
    """The sketch of the newer day; of one day both. Who sent both violations is one client."""
    columns = violation_clients.c
    rows = connection.execute(select(violation_clients).where(columns.violation_id.in_((gone, into)))).all()
    if not rows:
        return
    day = max(row.day for row in rows)
    sketch = unpacked(b"")
    for row in rows:
        if row.day == day:
            merge_sketch(sketch, unpacked(row.sketch))
    peak = max(estimate(sketch), *(row.peak for row in rows))
    connection.execute(delete(violation_clients).where(columns.violation_id == into))
    new = insert(connection.dialect.name, violation_clients)
    connection.execute(new.values(violation_id=into, day=day, sketch=packed(sketch), peak=peak))


def _move_alerts(connection: Connection, gone: int, into: int) -> None:
    """What was told, or is to be told, of both is told once."""
    same = csp_alerts.alias()
    told = exists().where(same.c.violation_id == into, same.c.kind == csp_alerts.c.kind, same.c.about == csp_alerts.c.about)
    moved = update(csp_alerts).where(csp_alerts.c.violation_id == gone, ~told)
    connection.execute(moved.values(violation_id=into))


# Every table whose rows belong to a violation; the tests compare.
MERGES: Mapping[str, Callable[[Connection, int, int], None]] = {
    "csp_minutes": _add_buckets(csp_minutes),
    "csp_hours": _add_buckets(csp_hours),
    "csp_days": _add_buckets(csp_days),
    "csp_samples": _add_samples,
    "violation_facets": _add_facets,
    "violation_clients": _add_clients,
    "csp_alerts": _move_alerts,
}
