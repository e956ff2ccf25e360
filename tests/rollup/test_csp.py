from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, insert, select

from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.tables import csp_days, csp_hours, csp_minutes, projects, violations
from collector.rollup.csp import Slice, fold_hours, fold_minutes
from collector.rollup.retention import Retentions, purge
from collector.wire.records import CspIntake, CspReport, Sample
from tests.examples import examples
from tests.rollup.rows import BUCKETS, MINUTE, NOW, add_bucket, add_project, add_violation, buckets, rows

DAY = 1440
MIDNIGHT = MINUTE - MINUTE % DAY
FOLDS: tuple[Callable[..., Slice], ...] = (fold_minutes, fold_hours)


def fold_all(connection: Connection, fold: Callable[..., Slice], *, before: int, limit: int = 2_000) -> int:
    """Fold slice by slice until there is nothing left, and return how many buckets were folded."""
    done, after = 0, 0
    while True:
        piece = fold(connection, before=before, after=after, limit=limit)
        assert piece.done <= limit
        done += piece.done
        if piece.after is None:
            return done
        after = piece.after


def sums_by_day(connection: Connection) -> Counter[tuple[int, int, str]]:
    """Reports by violation, UTC day and disposition over all three tables."""
    sums: Counter[tuple[int, int, str]] = Counter()
    for table in BUCKETS:
        for violation, bucket, enforce, report, unknown in buckets(connection, table):
            sums.update({(violation, bucket // DAY, "enforce"): enforce, (violation, bucket // DAY, "report"): report})
            sums[violation, bucket // DAY, "unknown"] += unknown
    return +sums


seen = st.tuples(st.integers(0, 2), st.integers(MIDNIGHT - 1500, MIDNIGHT + 1500), st.tuples(*[st.integers(0, 2**40)] * 3))
folds = st.tuples(st.sampled_from(FOLDS), st.integers(MIDNIGHT - 1500, MIDNIGHT + 3000), st.integers(1, 20))


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.lists(seen, max_size=40), steps=st.lists(folds, max_size=4))
async def test_folding_never_changes_a_sum(
    store: Store, minutes: list[tuple[int, int, tuple[int, int, int]]], steps: list[tuple[Callable[..., Slice], int, int]]
) -> None:
    """Whatever is folded when and in slices of whatever size, each violation has the same reports on each UTC day."""

    def work(connection: Connection) -> None:
        connection.execute(delete(projects))
        project = add_project(connection)
        ids = [add_violation(connection, project, f"{number:032x}") for number in range(3)]
        for (number, bucket), (enforce, report, unknown) in {(n, b): counts for n, b, counts in minutes}.items():
            row = {"violation_id": ids[number], "bucket": bucket, "enforce": enforce, "report": report, "unknown": unknown}
            connection.execute(insert(csp_minutes).values(row))
        before = sums_by_day(connection)

        for fold, until, limit in steps:
            fold_all(connection, fold, before=until, limit=limit)
            assert sums_by_day(connection) == before

        fold_all(connection, fold_minutes, before=MIDNIGHT + 2 * DAY)
        fold_all(connection, fold_hours, before=MIDNIGHT + 2 * DAY)
        assert sums_by_day(connection) == before
        assert rows(connection, csp_minutes) == rows(connection, csp_hours) == 0

    await store.transact(work)


async def test_an_hour_is_folded_when_it_is_over(store: Store) -> None:
    """Buckets of an hour that ``before`` cuts in two stay minutes, so that no hour is known by halves."""

    def work(connection: Connection) -> None:
        violation = add_violation(connection, add_project(connection), "a")
        for minute in (59, 60, 119, 120, 150):
            add_bucket(connection, csp_minutes, violation, MIDNIGHT + minute)

        assert fold_all(connection, fold_minutes, before=MIDNIGHT + 151) == 3

        assert buckets(connection, csp_hours) == [(violation, MIDNIGHT, 1, 0, 0), (violation, MIDNIGHT + 60, 2, 0, 0)]
        assert [bucket for _, bucket, *_ in buckets(connection, csp_minutes)] == [MIDNIGHT + 120, MIDNIGHT + 150]

    await store.transact(work)


async def test_days_are_utc_days(store: Store) -> None:
    """The hours before and after midnight UTC go to different days."""

    def work(connection: Connection) -> None:
        violation = add_violation(connection, add_project(connection), "a")
        for hour in (-1, 0, 23, 24):
            add_bucket(connection, csp_hours, violation, MIDNIGHT + hour * 60, enforce=10 + hour)

        fold_all(connection, fold_hours, before=MIDNIGHT + DAY + 30)

        assert buckets(connection, csp_days) == [(violation, MIDNIGHT - DAY, 9, 0, 0), (violation, MIDNIGHT, 43, 0, 0)]
        assert buckets(connection, csp_hours) == [(violation, MIDNIGHT + DAY, 34, 0, 0)]

    await store.transact(work)


async def test_a_late_report_is_added_to_its_folded_hour(store: Store) -> None:
    """A minute that turns up again after its hour was folded is added to what the hour has."""

    def work(connection: Connection) -> None:
        violation = add_violation(connection, add_project(connection), "a")
        for _ in range(2):
            add_bucket(connection, csp_minutes, violation, MIDNIGHT + 7, enforce=5, report=2)
            fold_all(connection, fold_minutes, before=MIDNIGHT + 60)

        assert buckets(connection, csp_hours) == [(violation, MIDNIGHT, 10, 4, 0)]

    await store.transact(work)


async def test_a_slice_is_bounded_and_says_where_to_go_on(store: Store) -> None:
    """A backlog of three violations is folded in slices of at most the limit, each bucket once."""

    def work(connection: Connection) -> None:
        project = add_project(connection)
        for number in range(3):
            violation = add_violation(connection, project, str(number))
            for minute in range(50):
                add_bucket(connection, csp_minutes, violation, MIDNIGHT + minute)

        first = fold_minutes(connection, before=MIDNIGHT + 60, limit=70)

        assert first.done == 70
        assert first.after is not None
        assert rows(connection, csp_minutes) == 80
        assert fold_all(connection, fold_minutes, before=MIDNIGHT + 60, limit=70) == 80
        assert [enforce for _, _, enforce, *_ in buckets(connection, csp_hours)] == [50, 50, 50]

    await store.transact(work)


def late_reports(number: int) -> CspIntake:
    """What a laptop sends that was asleep for three days: one report for each of four violations, oldest minutes first."""
    report = CspReport(
        effective_directive="img-src",
        blocked_kind="origin",
        blocked_origin="https://ads.example.net",
        blocked_key="https://ads.example.net",
        document_origin="https://shop.example.com",
        disposition="report",
        noise_class=None,
        noise_rule=None,
        place="",
        sample=Sample(),
    )
    names = [f"{(number + place) % 4:032x}" for place in range(4)]
    age = 72 * 3_600_000 + number % 7 * 60_000
    return CspIntake(1, "d", received_at=NOW, reports=(report,) * 4, fingerprints=tuple(names), ages=(age,) * 4)


async def test_reports_that_arrive_while_their_minutes_are_folded_are_counted_once(store: Store) -> None:
    """Intake into old minutes, folding and purging at the same time neither lose nor double a report, nor block each other."""
    await store.transact(add_project)
    station = CspRows()

    async def intake(first: int) -> None:
        for number in range(first, first + 25):
            intakes = [late_reports(number)]
            await store.transact(lambda connection, intakes=intakes: station.store(connection, intakes))  # type: ignore[misc]

    async def housekeeping() -> None:
        for _ in range(8):
            await purge(store.transact, Retentions(), now=NOW)

    await asyncio.gather(intake(0), intake(1), intake(2), housekeeping(), housekeeping())
    await housekeeping()

    def sums(connection: Connection) -> tuple[int, ...]:
        counted = int(connection.scalar(select(func.sum(violations.c.count))) or 0)
        return counted, sum(report for *_, report, _ in buckets(connection, csp_hours)), rows(connection, csp_minutes)

    assert await store.read(sums) == (300, 300, 0)
