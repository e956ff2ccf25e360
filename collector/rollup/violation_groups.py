"""What is blocked alike in several projects or places, as one entry."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from collector.persist.tables import projects
from collector.persist.tables import violations as stored
from collector.rollup.violation_list import matching, time
from collector.wire.violations import ViolationGroup, ViolationQuery

GROUPED = 20_000  # violations that are looked at, the most reported first: about 100 ms


def violation_groups(
    connection: Connection, query: ViolationQuery, *, visible: Collection[int] | None = None
) -> list[ViolationGroup]:
    """The violations that match ``query``, grouped by directive, blocked key and noise class; the most reported first.

    At most ``query.limit``, made of the 20,000 most reported violations; a cursor has no meaning here.
    """
    looked_at = (
        select(stored)
        .where(matching(connection, query, visible))
        .order_by(stored.c.ranked_count.desc(), stored.c.id.desc())
        .limit(GROUPED)
        .subquery()
    )
    key = [
        looked_at.c[name] for name in ("effective_directive", "blocked_kind", "blocked_origin", "blocked_key", "noise_class")
    ]
    total = func.sum(looked_at.c.count)
    grouped = (
        select(*key, func.count(), total, func.min(looked_at.c.first_seen), func.max(looked_at.c.last_seen))
        .group_by(*key)
        .order_by(total.desc(), looked_at.c.blocked_key)
        .limit(query.limit)
    )
    rows = connection.execute(grouped).all()
    keys = {row[3] for row in rows}
    names: dict[tuple[object, ...], list[str]] = {}
    of_keys = select(*key, projects.c.name).distinct().join_from(looked_at, projects).where(looked_at.c.blocked_key.in_(keys))
    for *group, name in connection.execute(of_keys):
        names.setdefault(tuple(group), []).append(name)
    return [
        ViolationGroup(
            *row[:5],
            projects=sorted(names[tuple(row[:5])]),
            violations=row[5],
            count=int(row[6]),
            first_seen=time(row[7]),
            last_seen=time(row[8]),
        )
        for row in rows
    ]
