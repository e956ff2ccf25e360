"""Sums of many projects: a bounded number of them, of which nothing is missing and none ever falls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, event, insert, select, update

from collector.persist.engine import Store
from collector.persist.tables import csp_totals, drop_totals
from collector.rollup.totals import OTHER, CspTotal, DropTotal, totals
from tests.rollup.rows import add_project

MOST = 6
DIRECTIVES, DISPOSITIONS, NOISE = ("img-src", "script-src-elem", "font-src"), ("enforce", "report"), ("", "localhost")


def report(connection: Connection, project: int, directive: str, disposition: str = "enforce", noise: str = "") -> None:
    """One more report, as the writer counts it."""
    row = {"project_id": project, "effective_directive": directive, "disposition": disposition, "noise_class": noise}
    its = [csp_totals.c[name] == value for name, value in row.items()]
    if connection.scalar(select(csp_totals.c.count).where(*its)) is None:
        connection.execute(insert(csp_totals).values(row | {"count": 1}))
    else:
        connection.execute(update(csp_totals).where(*its).values(count=csp_totals.c.count + 1))


def by_what_is_kept(rows: Iterable[CspTotal]) -> Counter[tuple[str, str]]:
    together: Counter[tuple[str, str]] = Counter()
    for row in rows:
        together[row.disposition, row.noise_class] += row.count
    return together


async def test_later_projects_are_told_by_coarser_sums(store: Store) -> None:
    """First by each directive, then without it, then all of them as one project; and how many are missing is said."""

    def work(connection: Connection) -> None:
        for name in ("first", "second", "third", "fourth"):
            project = add_project(connection, name)
            for directive in DIRECTIVES[:2]:
                report(connection, project, directive)
                report(connection, project, directive, "report")
            connection.execute(insert(drop_totals), [{"project_id": project, "reason": f"r{n}", "count": 1} for n in range(3)])
        found = totals(connection, MOST)
        assert found.csp == [
            *(
                CspTotal("first", directive, disposition, "none", 1)
                for directive in DIRECTIVES[:2]
                for disposition in DISPOSITIONS
            ),
            *(CspTotal(name, OTHER, disposition, "none", 2) for name in ("second", "third") for disposition in DISPOSITIONS),
            *(CspTotal(OTHER, OTHER, disposition, "none", 2) for disposition in DISPOSITIONS),
        ]
        assert found.drops[-3:] == [DropTotal(OTHER, f"r{n}", 2) for n in range(3)]
        assert found.folded == (6, 3, 0)

    await store.transact(work)


async def test_no_sum_falls_while_they_grow(store: Store) -> None:
    """Whatever comes in whatever order: what is told twice has not fallen, what is told no more is never told again."""
    chance = random.Random(6)

    def work(connection: Connection) -> None:
        projects: list[int] = []
        before: dict[tuple[str, str, str, str], int] = {}
        gone: set[tuple[str, str, str, str]] = set()
        for step in range(300):
            if step % 40 == 0:
                projects.append(add_project(connection, f"p{step}"))
            report(connection, chance.choice(projects), *map(chance.choice, (DIRECTIVES, DISPOSITIONS, NOISE)))
            found = totals(connection, MOST).csp
            told = {(row.project, row.directive, row.disposition, row.noise_class): row.count for row in found}
            assert len(told) == len(found) <= 2 * MOST + 4
            assert sum(told.values()) == step + 1
            assert all(told.get(key, count) >= count for key, count in before.items())
            gone |= before.keys() - told.keys()
            assert not gone & told.keys()
            before = told
        assert by_what_is_kept(found) == by_what_is_kept(totals(connection).csp)

    await store.transact(work)


async def test_few_sums_take_one_question_each(store: Store) -> None:
    """Which are too many is found out only where some are: at the bound nothing is counted, one beyond it all is."""

    def work(connection: Connection) -> list[int]:
        project = add_project(connection, "shop")
        asked: list[str] = []
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append(args[2]))
        found = []
        for number in range(4):
            report(connection, project, DIRECTIVES[0], noise=f"class {number}")
            asked.clear()
            totals(connection, 3)
            found.append(len([sql for sql in asked if "csp_totals" in sql]))
        return found

    assert await store.transact(work) == [1, 1, 1, 6]
