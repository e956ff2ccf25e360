"""Lists of violations, in pages: what is asked for, in four orders, and the cursor that leads on.

Each order has an index, and a page is read along it from where the page before ended: it costs the same at the beginning
and at the end, of a thousand violations and of a hundred thousand. What an index tells apart (project, noise, state) is
free; by everything else at most 5,000 violations are looked at for one page, which may then hold fewer results than were
asked for and still have a next one. The order of ``first_seen`` never changes; the others follow the reports at some
seconds' distance, so that a violation which overtakes a walk under way is not met by it. None is met twice, unless by trend.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)

from collector.persist.csp_ranks import ratio
from collector.persist.tables import projects, violation_clients, violation_facets
from collector.persist.tables import violations as stored
from collector.wire.errors import InvalidInput, Validation
from collector.wire.violations import (
    MAX_LIMIT,
    Counts,
    Disposition,
    Noise,
    Sort,
    State,
    Violation,
    ViolationPage,
    ViolationQuery,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BAD_PARAMETERS = "Query parameters have invalid values."
LOOKED_AT = 5_000  # violations for one page: about 20 ms
COUNTED = 10_000  # violations for the number of all that match

COLUMNS: dict[Sort, ColumnElement[Any]] = {
    Sort.FIRST_SEEN: stored.c.id,
    Sort.COUNT: stored.c.ranked_count,
    Sort.LAST_SEEN: stored.c.ranked_seen,
    Sort.TREND: stored.c.trend,
}
_CURSOR = re.compile(r"(first_seen|count|last_seen|trend) (-?\d{1,18}|-?0x[01]\.[0-9a-f]{1,13}p[+-]\d{1,4}) ([1-9]\d{0,17})")


class Place(NamedTuple):
    """Where a page ends: the value that the list is sorted by, and the row's id."""

    value: float
    id: int


def violation_query(parameters: Mapping[str, str]) -> ViolationQuery:
    """The query that URL ``parameters`` ask for; an empty one counts as absent, one that is not ours is ignored.

    Raises:
        InvalidInput: names the parameter that cannot be used.
    """
    given = {name: parameters[name] for name in ViolationQuery.__struct_fields__ if parameters.get(name)}
    query = ViolationQuery()
    for name, value in given.items():
        if "\0" in value:  # PostgreSQL has no text with it
            raise invalid(name, "Must not hold a NUL character")
        # A query string turns the "+" of an offset into a blank.
        plain = value.replace(" ", "+") if name in ("since", "until") else value
        try:
            query = msgspec.convert(
                {**msgspec.structs.asdict(query), name: plain}, ViolationQuery, strict=False, builtin_types=(datetime,)
            )
        except msgspec.ValidationError as error:
            raise invalid(name, str(error).partition(" - at ")[0]) from error
    return query


def violations(
    connection: Connection, query: ViolationQuery, *, now: int, visible: Collection[int] | None = None
) -> ViolationPage:
    """One page of the violations that match ``query`` in the ``visible`` projects (None: all), and how many match in all.

    Raises:
        InvalidInput: ``after`` is not a cursor of such a list, or ``limit`` is not from 1 to 1,000.
    """
    if not 1 <= query.limit <= MAX_LIMIT:
        raise invalid("limit", f"Expected a number from 1 to {MAX_LIMIT}")
    indexed, other = _indexed(connection, query, visible), _other(query)
    rows, following = _page(connection, query, indexed, other)
    return ViolationPage(
        count=_count(connection, query, indexed, other), results=[shown(row, now) for row in rows], next=following
    )


def select_violations() -> Select[Any]:
    """Violations with the names of their projects and their clients, as :func:`shown` wants them."""
    columns = stored, projects.c.name.label("project"), violation_clients.c.peak
    return select(*columns).join_from(stored, projects).outerjoin(violation_clients)


def shown(row: RowMapping, now: int) -> Violation:
    """What is answered of a row of :func:`select_violations`."""
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
        first_seen=time(row["first_seen"]),
        last_seen=time(row["last_seen"]),
        place=row["place"] or None,
        policy_allows=row["policy_allows"],
        state=State(row["state"]),
        state_at=None if row["state_at"] is None else time(row["state_at"]),
        state_by=row["state_by"],
        days=row["days"],
        clients=row["peak"] or 0,
        trend=round(ratio(row["trend"], now), 3),
    )


def matching(connection: Connection, query: ViolationQuery, visible: Collection[int] | None) -> ColumnElement[bool]:
    """The condition on violations that ``query`` is."""
    other = _other(query)
    indexed = _indexed(connection, query, visible)
    return indexed if other is None else and_(indexed, other)


def of_noise(noise: Noise) -> ColumnElement[bool]:
    """The condition on violations that a choice of noise is."""
    if noise is Noise.EXCLUDE:
        return stored.c.noise_class.is_(None)
    return stored.c.noise_class.is_not(None) if noise is Noise.ONLY else true()


def time(milliseconds: int) -> datetime:
    """Milliseconds since the epoch as a time."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def invalid(field: str, detail: str) -> InvalidInput:
    """The error that names a parameter."""
    return InvalidInput(BAD_PARAMETERS, validations=(Validation(field, detail),))


def _page(
    connection: Connection, query: ViolationQuery, indexed: ColumnElement[bool], other: ColumnElement[bool] | None
) -> tuple[list[RowMapping], str | None]:
    column = COLUMNS[query.sort]
    after = _from_cursor(query)
    if after is not None:
        indexed &= tuple_(column, stored.c.id) < tuple_(literal(after.value, column.type), literal(after.id, stored.c.id.type))
    order = column.desc(), stored.c.id.desc()
    page = select_violations().order_by(*order).limit(query.limit + 1)
    if other is None:
        rows = list(connection.execute(page.where(indexed)).mappings())
        return rows[: query.limit], _cursor(query, rows[query.limit - 1]) if len(rows) > query.limit else None
    looked_at = select(stored.c.id, column.label("value")).where(indexed).order_by(*order).limit(LOOKED_AT)
    rows = list(connection.execute(page.where(stored.c.id.in_(select(looked_at.subquery().c.id)), other)).mappings())
    if len(rows) > query.limit:
        return rows[: query.limit], _cursor(query, rows[query.limit - 1])
    last = connection.execute(looked_at.offset(LOOKED_AT - 1).limit(1)).first()
    return rows, None if last is None else _encoded(query.sort, Place(last.value, last.id))


def _count(
    connection: Connection, query: ViolationQuery, indexed: ColumnElement[bool], other: ColumnElement[bool] | None
) -> int:
    some = select(stored.c.id).where(indexed).limit(COUNTED)
    if other is not None:
        # Of as many as would be counted if all of them matched, in the order of the list.
        some = some.order_by(COLUMNS[query.sort].desc(), stored.c.id.desc())
        some = select(stored.c.id).where(stored.c.id.in_(select(some.subquery().c.id)), other)
    return connection.scalar(select(func.count()).select_from(some.subquery())) or 0


def _indexed(connection: Connection, query: ViolationQuery, visible: Collection[int] | None) -> ColumnElement[bool]:
    condition = of_noise(query.noise)
    if query.project:
        project_id = connection.scalar(select(projects.c.id).where(projects.c.name == query.project))
        if project_id is None or (visible is not None and project_id not in visible):
            return false()
        condition &= stored.c.project_id == project_id
    elif visible is not None:
        condition &= stored.c.project_id.in_(sorted(visible))
    if query.state is not None:
        condition &= stored.c.state == query.state.value
    return condition


def _other(query: ViolationQuery) -> ColumnElement[bool] | None:
    """What no index tells apart; None when nothing of it is asked."""
    columns = stored.c
    equal = (
        (columns.effective_directive, query.directive),
        (columns.noise_class, query.noise_class and query.noise_class.value),
        (columns.blocked_kind, query.kind),
        (columns.blocked_origin, query.origin),
    )
    conditions = [column == value for column, value in equal if value]
    if query.disposition is not None:
        counted = {
            Disposition.ENFORCE: columns.count_enforce,
            Disposition.REPORT: columns.count_report,
            Disposition.UNKNOWN: columns.count_unknown,
        }
        conditions.append(counted[query.disposition] > 0)
    if query.since is not None:
        conditions.append(columns.last_seen >= _milliseconds(query.since))
    if query.until is not None:
        conditions.append(columns.first_seen < _milliseconds(query.until))
    if query.document:
        facets = violation_facets.c
        seen_on = (facets.violation_id == columns.id, facets.kind == "document", facets.value == query.document)
        conditions.append(or_(columns.document_origin == query.document, exists().where(*seen_on)))
    if query.text:
        within = (columns.effective_directive, columns.blocked_key, columns.place, columns.document_origin)
        found = [column.icontains(query.text, autoescape=True) for column in within]
        conditions.append(or_(columns.fingerprint == query.text, *found))
    return and_(*conditions) if conditions else None


def _milliseconds(when: datetime) -> int:
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1_000)


def _cursor(query: ViolationQuery, row: RowMapping) -> str:
    return _encoded(query.sort, Place(row[COLUMNS[query.sort]], row["id"]))


def _encoded(sort: Sort, place: Place) -> str:
    value = place.value.hex() if isinstance(place.value, float) else str(place.value)
    return base64.urlsafe_b64encode(f"{sort} {value} {place.id}".encode()).decode().rstrip("=")


def _from_cursor(query: ViolationQuery) -> Place | None:
    if not query.after:
        return None
    try:
        text = base64.b64decode(query.after + "=" * (-len(query.after) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("after", "Not the `next` of a page") from error
    found = _CURSOR.fullmatch(text)
    if found is None or found[1] != query.sort or ("x" in found[2]) != (query.sort is Sort.TREND):
        raise invalid("after", "Not the `next` of a page")
    try:
        return Place(float.fromhex(found[2]) if "x" in found[2] else int(found[2]), int(found[3]))
    except OverflowError as error:
        raise invalid("after", "Not the `next` of a page") from error
