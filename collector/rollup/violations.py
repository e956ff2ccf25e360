"""One violation as it is asked for: over time, with its samples, and with what it was seen with; and the top of them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from collector.persist.tables import csp_samples, violation_audit
from collector.persist.tables import violations as stored
from collector.rollup.csp import Reach, coarsest, summed
from collector.rollup.evidence import facets_of, policies_of
from collector.rollup.violation_list import invalid, of_noise, select_violations, shown, time
from collector.wire.errors import NotFound
from collector.wire.evidence import Facet
from collector.wire.violations import (
    Counts,
    Noise,
    Series,
    SeriesPoint,
    State,
    StateChange,
    Violation,
    ViolationDetail,
    ViolationFacet,
    ViolationPolicy,
    ViolationSample,
)

MINUTE_S, MINUTE_MS = 60, 60_000
LAST_MINUTE = 2**31 - 1  # of the year 6053: what a bucket has room for
MAX_POINTS = 11_000  # Prometheus allows as many in a range query
CHANGES_SHOWN = 100
UNKNOWN = "There is no such violation."


def top(connection: Connection, limit: int, *, now: int, noise: Noise = Noise.EXCLUDE) -> list[Violation]:
    """The ``limit`` violations with the most reports, of all projects; of equals the newer comes first.

    As of the last ranking, some seconds ago.
    """
    ordered = select_violations().where(of_noise(noise)).order_by(stored.c.ranked_count.desc(), stored.c.id.desc())
    return [shown(row, now) for row in connection.execute(ordered.limit(limit)).mappings()]


def find(connection: Connection, fingerprint: str, *, now: int) -> Violation:
    """One violation, as the list has it.

    Raises:
        NotFound: there is no such violation.
    """
    found = select_violations().where(stored.c.id == _violation_id(connection, fingerprint))
    return shown(connection.execute(found).mappings().one(), now)


def violation(
    connection: Connection,
    fingerprint: str,
    *,
    since: int,
    until: int,
    step: int,
    now: int,
    visible: Collection[int] | None = None,
) -> ViolationDetail:
    """One violation with all that is known of it; times and ``step`` as for :func:`series`.

    Raises:
        NotFound: there is no such violation, or none in the projects that are ``visible`` (None: all are).
        InvalidInput: the series would have more than 11,000 points.
    """
    found = select_violations().where(stored.c.id == _violation_id(connection, fingerprint))
    row = connection.execute(found).mappings().one()
    if visible is not None and row["project_id"] not in visible:
        raise NotFound(UNKNOWN)
    facets = facets_of(connection, [row["id"]])
    documents, browsers, paths = (
        [_facet(each) for each in facets[row["id"], kind]] for kind in ("document", "browser", "path")
    )
    return ViolationDetail(
        violation=shown(row, now),
        series=series(connection, fingerprint, since=since, until=until, step=step),
        samples=samples(connection, fingerprint),
        documents=documents,
        browsers=browsers,
        paths=paths,
        policies=[
            ViolationPolicy(each.hash, each.text, each.count, time(each.first_seen), time(each.last_seen))
            for each in policies_of(connection, row["project_id"], [row["id"]])[row["id"]]
        ],
        history=_history(connection, fingerprint),
    )


def series(
    connection: Connection, fingerprint: str | None, *, since: int, until: int, step: int, noise: Noise = Noise.EXCLUDE
) -> Series:
    """Reports from ``since`` until before ``until`` (ms) by steps of ``step`` seconds, aligned to the epoch.

    Of one violation, or of all that ``noise`` selects when ``fingerprint`` is None. Where only hours or days are known any
    more the step is raised to a multiple of them. The first step is whole: it may begin before ``since``.

    Raises:
        NotFound: there is no such violation.
        InvalidInput: the answer would have more than 11,000 points.
    """
    condition = stored.c.id == _violation_id(connection, fingerprint) if fingerprint is not None else of_noise(noise)
    reach = Reach(condition, _bounded(since // MINUTE_MS), _bounded(-(-until // MINUTE_MS)))
    known = coarsest(connection, reach)
    minutes = -(-max(step, MINUTE_S) // (known * MINUTE_S)) * known
    start = reach.since - reach.since % minutes
    if (reach.until - start) / minutes > MAX_POINTS:
        raise invalid("step", f"More than {MAX_POINTS} points; take a longer step")
    sums = summed(connection, reach._replace(since=start), minutes)
    points = [_point(at, sums.get(at, (0, 0, 0))) for at in range(start, reach.until, minutes)]
    return Series(step_seconds=minutes * MINUTE_S, points=points)


def samples(connection: Connection, fingerprint: str) -> list[ViolationSample]:
    """The samples kept of a violation, newest first.

    Raises:
        NotFound: there is no such violation.
    """
    columns = [csp_samples.c[name] for name in ViolationSample.__struct_fields__]
    kept = (
        select(*columns)
        .where(csp_samples.c.violation_id == _violation_id(connection, fingerprint))
        .order_by(csp_samples.c.seen_at.desc(), csp_samples.c.slot)
    )
    return [ViolationSample(time(row.seen_at), *row[1:]) for row in connection.execute(kept)]


def _history(connection: Connection, fingerprint: str) -> list[StateChange]:
    columns = violation_audit.c
    newest = (
        select(columns.at, columns.state_by, columns.old_state, columns.new_state, columns.note)
        .where(columns.fingerprint == fingerprint)
        .order_by(columns.id.desc())
        .limit(CHANGES_SHOWN)
    )
    return [
        StateChange(time(row.at), row.state_by, State(row.old_state), State(row.new_state), row.note)
        for row in connection.execute(newest)
    ]


def _facet(facet: Facet) -> ViolationFacet:
    return ViolationFacet(facet.value, facet.count, time(facet.first_seen), time(facet.last_seen))


def _violation_id(connection: Connection, fingerprint: str) -> int:
    # Whatever else a URL may hold, a NUL for one, never reaches the database.
    known = select(stored.c.id).where(stored.c.fingerprint == fingerprint)
    found: int | None = connection.scalar(known) if fingerprint.isascii() and fingerprint.isalnum() else None
    if found is None:
        raise NotFound(UNKNOWN)
    return found


def _point(at: int, sums: tuple[int, int, int]) -> SeriesPoint:
    return SeriesPoint(at=time(at * MINUTE_MS), count=sum(sums), counts=Counts(*sums))


def _bounded(minute: int) -> int:
    return min(max(minute, 0), LAST_MINUTE)
