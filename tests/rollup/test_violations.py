from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, event, insert, update

from collector.persist.engine import SqliteStore, Store
from collector.persist.migrate import upgrade
from collector.persist.tables import (
    csp_days,
    csp_hours,
    csp_minutes,
    csp_samples,
    csp_totals,
    drop_totals,
    other_report_totals,
    violations,
)
from collector.rollup import violation_list as listed
from collector.rollup import violations as asked
from collector.rollup.totals import CspTotal, DropTotal, OtherReportTotal, totals
from collector.wire.errors import InvalidInput, NotFound
from collector.wire.violations import Counts, Noise, Sort, State, ViolationQuery
from tests.rollup.rows import MINUTE, NOW, add_bucket, add_project, add_violation

HOUR, DAY = 60, 1440
MIDNIGHT = MINUTE - MINUTE % DAY


def a_dozen(connection: Connection) -> None:
    """Twelve violations of two projects, every third of them noise; the later ones have fewer reports."""
    projects = [add_project(connection, "shop"), add_project(connection, "blog")]
    for number in range(12):
        noise = "browser-extension" if number % 3 == 0 else None
        add_violation(connection, projects[number % 2], f"{number:02}", noise_class=noise, count=100 - number)


def walk(connection: Connection, query: ViolationQuery, between: Callable[[], None] = lambda: None) -> list[str]:
    """The ids of all pages; ``between`` is called between any two."""
    page = listed.violations(connection, query, now=NOW)
    found = [result.id for result in page.results]
    while page.next is not None:
        between()
        page = listed.violations(connection, msgspec.structs.replace(query, after=page.next), now=NOW)
        found += [result.id for result in page.results]
        assert len(found) < 100, "a cursor that does not move"
    return found


async def test_what_is_answered_of_a_violation(store: Store) -> None:
    """A result has every field of the contract, under its name and in its JSON type."""

    def work(connection: Connection) -> None:
        columns = {"count": 7, "count_enforce": 4, "count_report": 2, "count_unknown": 1, "place": "/app.js:12"}
        add_violation(connection, add_project(connection), "f" * 32, blocked_kind="inline", blocked_origin=None, **columns)
        page = listed.violations(connection, ViolationQuery(), now=NOW)
        assert msgspec.to_builtins(page) == {
            "count": 1,
            "results": [
                {
                    "id": "f" * 32,
                    "project": "shop",
                    "effective_directive": "script-src-elem",
                    "blocked_kind": "inline",
                    "blocked_origin": None,
                    "document_origin": "https://shop.example.com",
                    "disposition": "enforce",
                    "noise_class": None,
                    "noise_rule": None,
                    "count": 7,
                    "counts": {"enforce": 4, "report": 2, "unknown": 1},
                    "first_seen": "2026-01-13T10:00:00Z",
                    "last_seen": "2026-01-14T10:00:00Z",
                    "place": "/app.js:12",
                    "state": "open",
                    "state_at": None,
                    "state_by": None,
                    "days": 1,
                    "clients": 0,
                    "trend": 28.0,
                    "policy_allows": False,
                }
            ],
            "next": None,
        }

    await store.transact(work)


FILTERS: tuple[tuple[dict[str, str], list[str]], ...] = (
    ({}, ["11", "10", "08", "07", "05", "04", "02", "01"]),
    ({"noise": "exclude"}, ["11", "10", "08", "07", "05", "04", "02", "01"]),
    ({"noise": "only"}, ["09", "06", "03", "00"]),
    ({"noise": "include"}, [f"{number:02}" for number in range(11, -1, -1)]),
    ({"project": "blog"}, ["11", "07", "05", "01"]),
    ({"project": "blog", "noise": "only"}, ["09", "03"]),
    ({"directive": "img-src"}, ["08"]),
    ({"project": "nobody's"}, []),
)


async def test_pages_hold_all_that_matches(store: Store) -> None:
    """Whatever the filter and the size of a page, the pages hold each matching violation once, the newest first."""

    def work(connection: Connection) -> None:
        a_dozen(connection)
        connection.execute(update(violations).where(violations.c.fingerprint == "08").values(effective_directive="img-src"))
        for parameters, expected in FILTERS:
            for limit in ("", "1", "3", "4", "12"):
                query = listed.violation_query(parameters | {"limit": limit, "after": ""})
                assert walk(connection, query) == expected, (parameters, limit)
                assert listed.violations(connection, query, now=NOW).count == len(expected), (parameters, limit)

    await store.transact(work)


async def test_pages_are_stable_while_reports_come_in(store: Store) -> None:
    """Counts that grow and violations that are new between two pages neither repeat nor hide a result."""

    def work(connection: Connection) -> None:
        a_dozen(connection)
        fresh = iter(range(100, 200))

        def meanwhile() -> None:
            connection.execute(update(violations).values(count=1_000 - violations.c.count, last_seen=NOW + 1))
            add_violation(connection, 1, str(next(fresh)))

        query = ViolationQuery(noise=Noise.INCLUDE, limit=5)
        assert walk(connection, query, meanwhile) == [f"{number:02}" for number in range(11, -1, -1)]

    await store.transact(work)


BAD: tuple[tuple[str, str], ...] = (
    ("limit", "0"),
    ("limit", "1001"),
    ("limit", "-1"),
    ("limit", "ten"),
    ("limit", "9" * 40),
    ("project", "a\0"),
    ("directive", "a\0"),
    ("noise", "some"),
    ("after", "1"),
    ("after", "é"),
    ("after", "a b"),
    ("after", base64.urlsafe_b64encode(b"first_seen -1 -1").decode()),
    ("after", base64.urlsafe_b64encode(b"first_seen 1 " + b"9" * 19).decode()),
    ("after", base64.urlsafe_b64encode(b"first_seen 0x1.8p+1 3").decode()),
    ("after", base64.urlsafe_b64encode(b"count 5 3").decode()),  # of a list in another order
    ("sort", "size"),
    ("state", "closed"),
    ("disposition", "none"),
    ("since", "yesterday"),
    ("text", "a" * 201),
)


async def test_a_bad_parameter_is_named(store: Store) -> None:
    """A parameter that cannot be used is refused by name, and nothing else is."""

    def work(connection: Connection) -> None:
        for field, value in BAD:
            with pytest.raises(InvalidInput) as refused:
                listed.violations(connection, listed.violation_query({"project": "shop", field: value}), now=NOW)
            assert [validation.field for validation in refused.value.validations] == [field], value

    await store.read(work)


async def test_the_largest_page_is_allowed(store: Store) -> None:
    """``limit`` may be 1,000, and a parameter of somebody else's does not matter."""
    query = listed.violation_query({"limit": "1000", "key": "whatever"})
    assert query.limit == 1000
    assert (await store.read(lambda connection: listed.violations(connection, query, now=NOW))).results == []


async def test_the_top_has_the_most_reports(store: Store) -> None:
    """``top`` gives the violations with the highest counts of all projects, of the kind that is asked for."""

    def ids(connection: Connection) -> list[list[str]]:
        return [
            [row.id for row in asked.top(connection, 3, now=NOW, noise=noise)]
            for noise in (Noise.EXCLUDE, Noise.ONLY, Noise.INCLUDE)
        ]

    await store.transact(a_dozen)
    assert await store.read(ids) == [["01", "02", "04"], ["00", "03", "06"], ["00", "01", "02"]]


async def test_a_page_costs_what_it_shows(tmp_path: Path) -> None:
    """No page reads or sorts the whole table: SQLite goes along an index and looks up the rest by key."""
    await upgrade(f"sqlite:///{tmp_path / 'collector.db'}")
    store = SqliteStore(tmp_path / "collector.db")
    statements: list[tuple[str, tuple[object, ...]]] = []

    def work(connection: Connection) -> None:
        a_dozen(connection)
        after = {sort: listed.violations(connection, ViolationQuery(limit=1, sort=sort), now=NOW).next for sort in Sort}
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append((given[2], given[3])))
        for sort, noise in itertools.product(Sort, Noise):
            query = ViolationQuery(noise=noise, sort=sort, after=after[sort])
            listed.violations(connection, query, now=NOW)
            listed.violations(connection, msgspec.structs.replace(query, project="shop", state=State.OPEN), now=NOW)
        # Counting all that match may scan, but only an index.
        pages = [(sql, given) for sql, given in statements if "count(*)" not in sql]
        counts = [(sql, given) for sql, given in statements if "count(*)" in sql]
        for sql, given in pages:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]
            assert all(step.startswith("SEARCH") for step in plan), (sql, plan)
        for sql, given in counts:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)]
            assert all("INDEX" in step for step in plan if "anon" not in step), (sql, plan)

    await store.transact(work)
    await store.close()


async def test_samples_come_newest_first(store: Store) -> None:
    """The samples of a violation are its own, newest first, with all their particulars."""

    def work(connection: Connection) -> None:
        project = add_project(connection)
        for name in ("a", "b"):
            violation = add_violation(connection, project, name)
            for slot, seen_at in enumerate((NOW - 120_000, NOW, NOW - 60_000)):
                row = {"violation_id": violation, "slot": slot, "seen_at": seen_at, "document_uri": f"https://{name}/{slot}"}
                connection.execute(insert(csp_samples).values(row | {"line_number": 12, "disposition": "report"}))
        found = asked.samples(connection, "b")
        assert [sample.document_uri for sample in found] == ["https://b/1", "https://b/2", "https://b/0"]
        assert found[0].seen_at == datetime(2026, 1, 14, 10, tzinfo=UTC)
        assert (found[0].line_number, found[0].disposition) == (12, "report")

    await store.transact(work)


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    """A fingerprint that nobody has is NotFound, in samples and in series, also one that PostgreSQL could not even read."""
    for strange in ("a\0", "\ud800", "", "ä"):
        with pytest.raises(NotFound):
            await store.read(partial(asked.samples, fingerprint=strange))
    with pytest.raises(NotFound):
        await store.read(lambda connection: asked.samples(connection, "0" * 32))
    with pytest.raises(NotFound):
        await store.read(lambda connection: asked.series(connection, "0" * 32, since=NOW - 1, until=NOW, step=60))


async def test_a_series_of_minutes_has_a_point_for_every_step(store: Store) -> None:
    """Recent reports come by the step that is asked for, zeros among them, from the step that holds ``since``."""

    def work(connection: Connection) -> None:
        violation = add_violation(connection, add_project(connection), "a")
        for minute in (-1, 0, 4, 5, 14, 15):
            add_bucket(connection, csp_minutes, violation, MIDNIGHT + minute, enforce=2, report=1)
        found = asked.series(
            connection,
            "a",
            since=(MIDNIGHT + 2) * 60_000,
            until=(MIDNIGHT + 15) * 60_000,
            step=300,
        )
        assert found.step_seconds == 300
        assert [(point.at.minute, point.count, point.counts) for point in found.points] == [
            (0, 6, Counts(4, 2, 0)),
            (5, 3, Counts(2, 1, 0)),
            (10, 3, Counts(2, 1, 0)),
        ]

    await store.transact(work)


async def test_a_series_reads_minutes_hours_and_days_as_one(store: Store) -> None:
    """A range that reaches back into days has a point a day, with all that any table knows of that day."""

    def work(connection: Connection) -> None:
        violation = add_violation(connection, add_project(connection), "a")
        other = add_violation(connection, 1, "b", noise_class="browser-extension")
        for each in (violation, other):
            add_bucket(connection, csp_days, each, MIDNIGHT - 2 * DAY, enforce=100)
            add_bucket(connection, csp_hours, each, MIDNIGHT - 2 * DAY + 5 * HOUR, enforce=10)
            add_bucket(connection, csp_hours, each, MIDNIGHT - DAY, enforce=20)
            add_bucket(connection, csp_minutes, each, MIDNIGHT - 1, enforce=3)
            add_bucket(connection, csp_minutes, each, MIDNIGHT, enforce=4)
        since, until = (MIDNIGHT - 2 * DAY + 90) * 60_000, (MIDNIGHT + 1) * 60_000

        by_day = asked.series(connection, "a", since=since, until=until, step=60)
        assert by_day.step_seconds == 86_400
        assert [point.count for point in by_day.points] == [110, 23, 4]

        assert [point.count for point in asked.series(connection, None, since=since, until=until, step=60).points] == [
            110,
            23,
            4,
        ]
        noisy = asked.series(connection, None, since=since, until=until, step=60, noise=Noise.INCLUDE)
        assert [point.count for point in noisy.points] == [220, 46, 8]

        hours = asked.series(connection, "a", since=(MIDNIGHT - DAY) * 60_000, until=MIDNIGHT * 60_000, step=5_000)
        assert hours.step_seconds == 7_200
        assert [point.count for point in hours.points] == [20, *[0] * 10, 3]

    await store.transact(work)


async def test_a_series_of_too_many_points_is_refused(store: Store) -> None:
    """A year by the minute is refused by the name of the step."""
    with pytest.raises(InvalidInput) as refused:
        await store.read(lambda connection: asked.series(connection, None, since=NOW - 366 * 86_400_000, until=NOW, step=60))
    assert refused.value.validations[0].field == "step"


async def test_a_series_at_the_end_of_time_is_bounded(store: Store) -> None:
    """Times before 1970 and beyond what a bucket holds are cut off: neither database meets a number it cannot take."""

    def work(connection: Connection) -> None:
        far, long_ago = 253_402_300_799_999, -62_135_596_800_000
        assert asked.series(connection, None, since=far - 86_400_000, until=far, step=60).points == []
        assert asked.series(connection, None, since=long_ago, until=long_ago + 86_400_000, step=7 * 86_400).points == []

    await store.read(work)


async def test_totals_have_names_for_everything(store: Store) -> None:
    """The exporter's sums carry the project's name, and words where a key has an empty string."""

    def work(connection: Connection) -> None:
        project = add_project(connection, "shop")
        noisy = {"effective_directive": "img-src", "noise_class": "browser-extension", "disposition": "report", "count": 5}
        plain = {"effective_directive": "", "noise_class": "", "disposition": "unknown", "count": 2**40}
        connection.execute(insert(csp_totals), [{"project_id": project} | row for row in (noisy, plain)])
        connection.execute(insert(drop_totals).values(project_id=project, reason="empty", count=3))
        connection.execute(insert(other_report_totals).values(project_id=project, type="deprecation", count=4))
        found = totals(connection)
        assert found.csp == [
            CspTotal("shop", "unknown", "unknown", "none", 2**40),
            CspTotal("shop", "img-src", "report", "browser-extension", 5),
        ]
        assert found.drops == [DropTotal("shop", "empty", 3)]
        assert found.others == [OtherReportTotal("shop", "deprecation", 4)]

    await store.transact(work)
