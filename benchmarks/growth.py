"""What costs grow with: at 1, 10 and 100 times the data, in steps of SQLite's machine, which nothing else on a machine changes.

A snapshot grows with its window and not with the history before it. A page costs the same in a list of any length, but for the
number of all that match, which is counted up to 10,000; one violation costs the same among any number. The exponent is that of
cost over data: 0 is no growth, 1 is growth in proportion.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, create_engine, insert

from benchmarks import stored
from benchmarks.figures import Figures, Plan, table
from benchmarks.rollup import DEPLOYMENT, INTERVAL_MS, NOW, migrated
from collector.persist.engine import Store
from collector.persist.tables import projects
from collector.rollup.moment import Asked, moment
from collector.rollup.snapshot import WINDOW_MS, built
from collector.rollup.violation_list import violations
from collector.rollup.violations import find
from collector.wire.violations import Sort, ViolationQuery

TIMES = (1, 10, 100)
AGENTS, VIOLATIONS = 20, 2_000
HOUR_MS = 3_600_000
LOOK_EVERY = 10  # steps

Work = Callable[[Connection], object]


class Growth(NamedTuple):
    """Steps of one kind of work, by how many times the data there is."""

    work: str
    grows: str
    times: tuple[int, ...]
    steps: list[int]

    @property
    def exponent(self) -> float:
        """Of the steps over the data."""
        return math.log(max(1, self.steps[-1]) / max(1, self.steps[0])) / math.log(self.times[-1] / self.times[0])


def measure(plan: Plan) -> Figures:
    """Every kind of work."""
    times = TIMES[:2] if plan.small else TIMES
    with tempfile.TemporaryDirectory() as name:
        found = [each for axis in AXES for each in asyncio.run(_along(axis, times, Path(name)))]
    columns = ("what", "when there are more", *(f"{each} x" for each in times), "exponent")
    rows = [(one.work, one.grows, *(f"{steps:,}" for steps in one.steps), f"{one.exponent:.2f}") for one in found]
    return Figures(table(columns, rows), [{**one._asdict(), "exponent": one.exponent} for one in found])


async def _along(axis: Axis, times: tuple[int, ...], directory: Path) -> list[Growth]:
    """The steps of each work of ``axis``, in a database of its own for each size."""
    found = [Growth(work, axis.grows, times, []) for work in axis.works]
    for each in times:
        path = directory / f"{axis.grows}-{each}.db"
        async with migrated(f"sqlite:///{path}") as store:
            await store.transact(lambda c: c.execute(insert(projects).values(id=1, name="shop", created_at=0)))
            await axis.fill(store, each)
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            for one in found:
                one.steps.append(_steps(connection, axis.works[one.work]))
        engine.dispose()
        path.unlink()
    return found


def _steps(connection: Connection, work: Work) -> int:
    looks = itertools.count()
    raw: Any = connection.connection.driver_connection
    raw.set_progress_handler(lambda: next(looks) < 0, LOOK_EVERY)  # True would end it
    try:
        work(connection)
    finally:
        raw.set_progress_handler(None, 0)
    return next(looks) * LOOK_EVERY


# ── What is done ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _snapshot(connection: Connection) -> object:
    found = built(connection, DEPLOYMENT, now=NOW, interval_ms=INTERVAL_MS, said={})
    return moment(connection, found, Asked(), now=NOW)


def _listed(sort: Sort) -> Work:
    def page(connection: Connection) -> object:
        found = violations(connection, ViolationQuery(sort=sort, limit=100), now=NOW)
        assert len(found.results) == 100
        return found

    return page


def _violation(connection: Connection) -> object:
    return find(connection, "f50", now=NOW)


# ── What there is more of ────────────────────────────────────────────────────────────────────────────────────────────
async def _more_agents(store: Store, times: int) -> None:
    await stored.agents(store, AGENTS * times, deployment=DEPLOYMENT, now=NOW)
    await stored.agent_reports(store, since=NOW - WINDOW_MS, until=NOW)


async def _more_history(store: Store, times: int) -> None:
    """The same window; before it more hours of reports, and more days of buckets."""
    await stored.agents(store, AGENTS, deployment=DEPLOYMENT, now=NOW)
    await stored.agent_reports(store, since=NOW - WINDOW_MS - times * HOUR_MS, until=NOW)
    await stored.violations(store, AGENTS, deployment=DEPLOYMENT, now=NOW, minutes=30 * times, hours=24 * times)


async def _more_violations(store: Store, times: int) -> None:
    await stored.violations(store, VIOLATIONS * times, deployment=DEPLOYMENT, now=NOW, minutes=1, hours=1, samples=1)


class Axis(NamedTuple):
    """What there is more of, and what is done with it."""

    grows: str
    fill: Callable[[Store, int], Awaitable[None]]
    works: dict[str, Work]


AXES = (
    Axis("agents in the window", _more_agents, {"snapshot": _snapshot}),
    Axis("hours before the window", _more_history, {"snapshot": _snapshot}),
    Axis(
        "violations",
        _more_violations,
        {f"page of 100 by {sort.value}": _listed(sort) for sort in Sort} | {"one violation": _violation},
    ),
)
