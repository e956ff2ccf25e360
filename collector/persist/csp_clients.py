"""How many clients sent a violation: the sketch of the newest day, and the highest estimate of any day.

The hash of a client changes with the day, so somebody who posts on thirty days is one client on each of them, and the
highest day says one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from collector.persist.engine import insert
from collector.persist.sketch import estimate, merge, packed, unpacked
from collector.persist.statements import Statement
from collector.persist.tables import violation_clients, violations


class Seen(NamedTuple):
    """The clients of one violation on one day, as far as this process saw them."""

    fingerprint: str
    day: int
    sketch: bytes  # 256 registers


def add_clients(connection: Connection, seen: Sequence[Seen]) -> None:
    """Merge the sketches into the stored ones; one of an earlier day than the stored comes too late."""
    if not seen:
        return
    stored = _stored(connection, [each.fingerprint for each in seen])
    rows = []
    for each in sorted(seen):
        day, sketch, peak = stored.get(each.fingerprint, (each.day, b"", 0))
        if day > each.day:
            continue
        merged = unpacked(sketch) if day == each.day else bytearray(len(each.sketch))
        merge(merged, each.sketch)
        rows.append(
            {
                "fp": each.fingerprint,
                "of_day": each.day,
                "of_sketch": packed(merged),
                "of_peak": max(peak, estimate(merged)),
            }
        )
    if rows:
        CLIENTS.execute_many(connection, rows)


def _stored(connection: Connection, fingerprints: Iterable[str]) -> dict[str, tuple[int, bytes, int]]:
    columns = violation_clients.c
    found = (
        select(violations.c.fingerprint, columns.day, columns.sketch, columns.peak)
        .join_from(violation_clients, violations)
        .where(violations.c.fingerprint.in_(sorted(fingerprints)))
        .order_by(violations.c.fingerprint)
        .with_for_update(of=violation_clients)  # another process may be merging, too
    )
    return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(found)}


def _clients(dialect: str) -> Any:
    columns = violation_clients.c
    new = insert(dialect, violation_clients).from_select(
        [column.name for column in columns],
        select(
            violations.c.id,
            bindparam("of_day", type_=columns.day.type),
            bindparam("of_sketch", type_=columns.sketch.type),
            bindparam("of_peak", type_=columns.peak.type),
        ).where(violations.c.fingerprint == bindparam("fp")),
    )
    return new.on_conflict_do_update(
        index_elements=["violation_id"], set_={name: new.excluded[name] for name in ("day", "sketch", "peak")}
    )


CLIENTS = Statement(_clients)
