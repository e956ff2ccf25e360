"""However many violations somebody invents, few rows are made and every report is counted."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, select

from collector.normalize.csp import arrived
from collector.normalize.fingerprint import fingerprint
from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.tables import csp_minutes, csp_totals, violations
from collector.wire.records import CspIntake
from tests.rollup.rows import NOW, add_project

HOUR = 3_600_000


class FaultError(Exception):
    """A store that fails."""


def invented(*numbers: int, at: int = NOW, directive: str = "img-src", project: int = 1, age: int = 0) -> CspIntake:
    """A batch of the Reporting API with one report for each number, all of violations of their own."""
    entries = ",".join(
        f'{{"type":"csp-violation","age":{age},"body":{{"documentURL":"https://shop.example/","disposition":"enforce",'
        f'"effectiveDirective":"{directive}","blockedURL":"https://host-{number}.example/x.png"}}}}'
        for number in numbers
    )
    reports = arrived(f"[{entries}]".encode(), user_agent=None).reports
    names = tuple(fingerprint(f"project-{project}", report.group) for report in reports)
    return CspIntake(project, "d", at, reports, names)


async def take(store: Store, rows: CspRows, *intakes: CspIntake) -> None:
    await store.transact(lambda connection: rows.store(connection, intakes))
    rows.ended(whole=True)


async def found(store: Store, project: int = 1) -> tuple[int, dict[tuple[str | None, str | None], int]]:
    """How many ordinary violations a project has, and the reports in its overflows by directive and noise class."""

    def work(connection: Connection) -> tuple[int, dict[tuple[str | None, str | None], int]]:
        of_project = violations.c.project_id == project
        overflow = violations.c.blocked_kind == "overflow"
        ordinary = connection.scalar(select(func.count()).select_from(violations).where(of_project, ~overflow))
        columns = violations.c.effective_directive, violations.c.noise_class, violations.c.count
        rows = connection.execute(select(*columns).where(of_project, overflow))
        return ordinary or 0, {(directive, noise): count for directive, noise, count in rows}

    return await store.read(work)


async def sums(store: Store) -> set[int]:
    """All reports, as each of the places that count them says."""
    columns = violations.c.count, csp_totals.c.count, csp_minutes.c.enforce
    return await store.read(lambda connection: {int(connection.scalar(select(func.sum(each))) or 0) for each in columns})


async def test_what_exceeds_the_limit_is_counted_together(store: Store) -> None:
    """Past the limit there is one row a directive, known violations are counted on, and all sums agree."""
    await store.transact(add_project)
    rows = CspRows(new_violations=10)
    await take(store, rows, invented(*range(8)))
    await take(store, rows, invented(*range(30)), invented(*range(100, 105), directive="font-src"))
    await take(store, rows, invented(*range(200, 250)), invented(*range(8)))

    ordinary, overflow = await found(store)
    assert ordinary == 10
    assert set(overflow) == {("img-src", None), ("font-src", None)}
    assert sum(overflow.values()) == (22 + 5 - 2) + 50  # two of the second batch found a place, none of the third
    assert await sums(store) == {8 + 35 + 58}


async def test_neither_a_restart_nor_an_old_report_resets_it(store: Store) -> None:
    """The bound is counted from what is stored, by our own clock; the next hour begins anew."""
    await store.transact(add_project)
    await take(store, CspRows(new_violations=5), invented(*range(5)))
    await take(store, CspRows(new_violations=5), invented(*range(5, 10), age=2 * 86_400_000))
    assert await found(store) == (5, {("img-src", None): 5})

    rows = CspRows(new_violations=5)
    await take(store, rows, invented(*range(20, 27), at=NOW + HOUR))
    assert await found(store) == (10, {("img-src", None): 7})


async def test_each_project_has_a_bound_of_its_own(store: Store) -> None:
    """A flood at one project takes no place from another."""
    await store.transact(lambda c: (add_project(c), add_project(c, "blog")))
    rows = CspRows(new_violations=3)
    await take(store, rows, invented(*range(9)), invented(*range(2), project=2))
    assert await found(store) == (3, {("img-src", None): 6})
    assert await found(store, 2) == (2, {})


async def test_a_batch_that_failed_leaves_no_place_taken(store: Store) -> None:
    """What was rolled back is judged again with the batch that is stored in its place."""
    await store.transact(add_project)
    rows = CspRows(new_violations=4)

    def fail(connection: Connection) -> None:
        rows.store(connection, [invented(*range(9))])
        raise FaultError

    for _ in range(2):
        with pytest.raises(FaultError):
            await store.transact(fail)
        rows.ended(whole=False)
    await take(store, rows, invented(*range(9)))
    assert await found(store) == (4, {("img-src", None): 5})
    assert await sums(store) == {9}


async def test_no_limit_is_no_limit(store: Store) -> None:
    """0 lets a project make any number."""
    await store.transact(add_project)
    await take(store, CspRows(new_violations=0), invented(*range(300)))
    assert await found(store) == (300, {})
