"""Violations as they are asked for: a list in pages, the top of them, one of them over time, its samples.

The list goes from the newest violation to the oldest, by the order in which they were first stored. That order never
changes, however the counts grow, so that whoever walks all pages sees every violation exactly once. A page is read along
an index and costs the same at the beginning and at the end; ``count`` reads the matching part of an index.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, false, func, select, true

from collector.persist.tables import csp_samples, projects
from collector.persist.tables import violations as stored
from collector.rollup.csp import Reach, coarsest, summed
from collector.wire.errors import InvalidInput, NotFound, Validation
from collector.wire.violations import (
    MAX_LIMIT,
    Counts,
    Noise,
    Series,
    SeriesPoint,
    Violation,
    ViolationDetail,
    ViolationPage,
    ViolationQuery,
    ViolationSample,
)

MINUTE_S, MINUTE_MS = 60, 60_000
LAST_MINUTE = 2**31 - 1  # of the year 6053: what a bucket has room for
MAX_POINTS = 11_000  # Prometheus allows as many in a range query
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BAD_PARAMETERS = "Query parameters have invalid values."


def violation_query(parameters: Mapping[str, str]) -> ViolationQuery:
    """The query that URL ``parameters`` ask for; an empty one counts as absent, one that is not ours is ignored.

    Raises:
        InvalidInput: names the parameter that cannot be used.
    """
    given = {name: parameters[name] for name in ViolationQuery.__struct_fields__ if parameters.get(name)}
    query = ViolationQuery()
    for name, value in given.items():
        if "\0" in value:  # PostgreSQL has no text with it
            raise _invalid(name, "Must not hold a NUL character")
        try:
            query = msgspec.convert({**msgspec.structs.asdict(query), name: value}, ViolationQuery, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid(name, str(error).partition(" - at ")[0]) from error
    return query


def violations(connection: Connection, query: ViolationQuery) -> ViolationPage:
    """One page of the violations that match ``query``, newest first, and how many match in all.

    Raises:
        InvalidInput: ``after`` is not a cursor of ours, or ``limit`` is not from 1 to 1,000.
    """
    if not 1 <= query.limit <= MAX_LIMIT:
        raise _invalid("limit", f"Expected a number from 1 to {MAX_LIMIT}")
    matching = _matching(connection, query)
    page = _select_violations().where(matching).order_by(stored.c.id.desc()).limit(query.limit + 1)
    if query.after:
        page = page.where(stored.c.id < _from_cursor(query.after))
    rows = connection.execute(page).mappings().all()
    shown = rows[: query.limit]
    count = connection.scalar(select(func.count()).select_from(stored).where(matching))
    return ViolationPage(
        count=count or 0,
        results=[_violation(row) for row in shown],
        next=_cursor(shown[-1]["id"]) if len(rows) > query.limit else None,
    )


def top(connection: Connection, limit: int, *, noise: Noise = Noise.EXCLUDE) -> list[Violation]:
    """The ``limit`` violations with the most reports, of all projects; of equals the newer comes first. Reads them all."""
    ordered = _select_violations().where(_of_noise(noise)).order_by(stored.c.count.desc(), stored.c.id.desc())
    return [_violation(row) for row in connection.execute(ordered.limit(limit)).mappings()]


def violation(connection: Connection, fingerprint: str, *, since: int, until: int, step: int) -> ViolationDetail:
    """One violation with all that is known of it; times and ``step`` as for :func:`series`.

    Raises:
        NotFound: there is no such violation.
        InvalidInput: the series would have more than 11,000 points.
    """
    found = _select_violations().where(stored.c.id == _violation_id(connection, fingerprint))
    return ViolationDetail(
        violation=_violation(connection.execute(found).mappings().one()),
        series=series(connection, fingerprint, since=since, until=until, step=step),
        samples=samples(connection, fingerprint),
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
    condition = stored.c.id == _violation_id(connection, fingerprint) if fingerprint is not None else _of_noise(noise)
    reach = Reach(condition, _bounded(since // MINUTE_MS), _bounded(-(-until // MINUTE_MS)))
    known = coarsest(connection, reach)
    minutes = -(-max(step, MINUTE_S) // (known * MINUTE_S)) * known
    start = reach.since - reach.since % minutes
    if (reach.until - start) / minutes > MAX_POINTS:
        raise _invalid("step", f"More than {MAX_POINTS} points; take a longer step")
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
    return [ViolationSample(_time(row.seen_at), *row[1:]) for row in connection.execute(kept)]


def _select_violations() -> Select[Any]:
    return select(stored, projects.c.name.label("project")).join_from(stored, projects)


def _matching(connection: Connection, query: ViolationQuery) -> ColumnElement[bool]:
    condition = _of_noise(query.noise)
    if query.project:
        project_id = connection.scalar(select(projects.c.id).where(projects.c.name == query.project))
        condition &= stored.c.project_id == project_id if project_id is not None else false()
    if query.directive:
        condition &= stored.c.effective_directive == query.directive
    return condition


def _of_noise(noise: Noise) -> ColumnElement[bool]:
    if noise is Noise.EXCLUDE:
        return stored.c.noise_class.is_(None)
    return stored.c.noise_class.is_not(None) if noise is Noise.ONLY else true()


def _violation_id(connection: Connection, fingerprint: str) -> int:
    # Whatever else a URL may hold, a NUL for one, never reaches the database.
    known = select(stored.c.id).where(stored.c.fingerprint == fingerprint)
    found: int | None = connection.scalar(known) if fingerprint.isascii() and fingerprint.isalnum() else None
    if found is None:
        raise NotFound("There is no such violation.")
    return found


def _violation(row: RowMapping) -> Violation:
    return Violation(
        id=row["fingerprint"],
        project=row["project"],
        effective_directive=row["effective_directive"],
        blocked_kind=row["blocked_kind"],
        blocked_origin=row["blocked_origin"],
        document_origin=row["document_origin"],
        disposition=row["disposition"],
        noise_class=row["noise_class"],
        noise_rule=row["noise_rule"],
        count=row["count"],
        counts=Counts(row["count_enforce"], row["count_report"], row["count_unknown"]),
        first_seen=_time(row["first_seen"]),
        last_seen=_time(row["last_seen"]),
        place=row["place"] or None,
    )


def _point(at: int, sums: tuple[int, int, int]) -> SeriesPoint:
    return SeriesPoint(at=_time(at * MINUTE_MS), count=sum(sums), counts=Counts(*sums))


def _bounded(minute: int) -> int:
    return min(max(minute, 0), LAST_MINUTE)


def _time(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def _cursor(violation_id: int) -> str:
    return base64.urlsafe_b64encode(b"v%d" % violation_id).decode().rstrip("=")


def _from_cursor(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("after", "Not the `next` of a page") from error
    if not re.fullmatch(rb"v[1-9][0-9]{0,17}", text):  # 18 digits fit in the 8 bytes of an id
        raise _invalid("after", "Not the `next` of a page")
    return int(text[1:])


def _invalid(field: str, detail: str) -> InvalidInput:
    return InvalidInput(BAD_PARAMETERS, validations=(Validation(field, detail),))
