"""The evidence of a project: its violations with all that a policy can be built from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, select

from collector.persist.csp_facets import BROWSER, DOCUMENT, PATH, POLICY
from collector.persist.projects import project_by_name
from collector.persist.tables import csp_policies, violation_clients, violation_facets
from collector.persist.tables import violations as stored
from collector.wire.evidence import Evidence, Facet, ObservedPolicy

AT_ONCE = 500  # SQLite's limit on variables of one statement was 999 for long
LIMIT = 1_000


def evidence(
    connection: Connection, project: str, *, since: int = 0, limit: int = LIMIT, visible: Collection[int] | None = None
) -> list[Evidence]:
    """The violations of ``project`` that are no noise and were seen at or after ``since`` (ms), the most reported first.

    At most ``limit``. Facets may be behind the counts by the few seconds between two flushes.

    Raises:
        NotFound: there is no such project, or it is none of those that are ``visible`` (None: all are).
    """
    project_id = project_by_name(connection, project, visible=visible).id
    asked = (
        select(stored, violation_clients.c.peak)
        .outerjoin_from(stored, violation_clients)
        .where(stored.c.project_id == project_id, stored.c.noise_class.is_(None), stored.c.last_seen >= since)
        .order_by(stored.c.count.desc(), stored.c.id)
        .limit(limit)
    )
    rows = connection.execute(asked).all()
    ids = [row.id for row in rows]
    facets, policies = facets_of(connection, ids), policies_of(connection, project_id, ids)
    return [
        Evidence(
            id=row.fingerprint,
            effective_directive=row.effective_directive,
            blocked_kind=row.blocked_kind,
            blocked_origin=row.blocked_origin,
            blocked_key=row.blocked_key,
            place=row.place,
            document_origin=row.document_origin,
            state=row.state,
            enforce=row.count_enforce,
            report=row.count_report,
            unknown=row.count_unknown,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            days=row.days,
            clients=row.peak or 0,
            documents=facets[row.id, DOCUMENT],
            browsers=facets[row.id, BROWSER],
            paths=facets[row.id, PATH],
            policies=policies[row.id],
        )
        for row in rows
    ]


def facets_of(connection: Connection, ids: Sequence[int]) -> defaultdict[tuple[int, str], tuple[Facet, ...]]:
    """The values of these violations by (id, kind), the most frequent first."""
    found: defaultdict[tuple[int, str], tuple[Facet, ...]] = defaultdict(tuple)
    columns = violation_facets.c
    for start in range(0, len(ids), AT_ONCE):
        of_these = columns.violation_id.in_(ids[start : start + AT_ONCE]) & (columns.kind != POLICY)
        ordered = select(violation_facets).where(of_these).order_by(columns.count.desc(), columns.value)
        for violation_id, kind, *facet in connection.execute(ordered):
            found[violation_id, kind] += (Facet(*facet),)
    return found


def policies_of(connection: Connection, project_id: int, ids: Sequence[int]) -> defaultdict[int, tuple[ObservedPolicy, ...]]:
    """The policies that these violations of one project were observed under, by id, the newest first."""
    found: defaultdict[int, tuple[ObservedPolicy, ...]] = defaultdict(tuple)
    columns, policies = violation_facets.c, csp_policies.c
    kept = and_(policies.hash == columns.value, policies.project_id == project_id)
    for start in range(0, len(ids), AT_ONCE):
        observed = (
            select(columns.violation_id, columns.value, policies.text, columns.count, columns.first_seen, columns.last_seen)
            .outerjoin_from(violation_facets, csp_policies, kept)
            .where(columns.violation_id.in_(ids[start : start + AT_ONCE]), columns.kind == POLICY, columns.value != "")
            .order_by(columns.first_seen.desc(), columns.value)
        )
        for violation_id, *policy in connection.execute(observed):
            found[violation_id] += (ObservedPolicy(*policy),)
    return found
