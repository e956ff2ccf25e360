"""What a report costs in each stage of intake, without HTTP, in one process and thread.

The bodies are those of ``wrk/``: 200 different reports of 72 violations, singly and in arrays, whose ages are never the same
twice. ``read`` makes records of bodies, ``store`` writes a batch of 64 bodies to SQLite. What counts is processor time, the
least of several rounds. The limit is ``sqlite3`` by itself, which writes the same batches as a row a report by
``executemany``.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import AbstractContextManager, closing, nullcontext
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, insert

from benchmarks.figures import Figures, Plan, table
from benchmarks.reports import AGENT, encoded, report, singles
from collector.normalize.remembered import Remembered
from collector.persist.csp import CspRows
from collector.persist.engine import SqliteStore
from collector.persist.migrate import upgrade
from collector.persist.tables import projects
from collector.wire.records import CspIntake

VARIANTS, BATCH, BATCHES = 200, 64, 40

Profiled = AbstractContextManager[object]
NOT: Profiled = nullcontext()


class Way(NamedTuple):
    """How reports come: so many in a body."""

    words: str
    reports: int

    @cache  # noqa: B019 — there are three
    def bodies(self) -> list[bytes]:
        """Different ones: as many as are read in a round, but of singles."""
        return singles(VARIANTS) if self.reports == 1 else _arrays(self.reports)


class Taken(NamedTuple):
    """µs of a core a report, by round."""

    way: str
    read_us: list[float]
    store_us: list[float]
    limit_us: list[float]


WAYS = {way.words: way for way in (Way("single", 1), Way("arrays of 10", 10), Way("arrays of 50", 50))}


def measure(plan: Plan) -> Figures:
    """Every way."""
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(_measured(Path(directory), list(WAYS.values()), plan.rounds))
    rows = [
        (one.way, *(f"{min(us):.2f} µs" for us in one[1:]), f"{min(one.store_us) / min(one.limit_us):.2f}") for one in found
    ]
    columns = ("reports", "read", "store", "a row of executemany", "store to that")
    return Figures(table(columns, rows), [one._asdict() for one in found])


def main() -> int:
    """Show where a stage spends its time with arrays of 50."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hotpath", description=main.__doc__)
    parser.add_argument("stage", choices=("read", "store"))
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as directory:
        stages = {parser.parse_args().stage: profile}
        asyncio.run(_measured(Path(directory), [WAYS["arrays of 50"]], 1, **stages))
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    return 0


def run(way: str, batches: int) -> None:
    """Read and store so many batches, and nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_run(Path(directory), WAYS[way], batches))


async def _run(directory: Path, way: Way, batches: int) -> None:
    kept, rows = await _opened(directory), CspRows()
    for batch in _read(way, Remembered(), batches):
        await kept.transact(partial(rows.store, intakes=batch))
        rows.ended(whole=True)
    await kept.close()


async def _measured(
    directory: Path, ways: list[Way], rounds: int, *, read: Profiled = NOT, store: Profiled = NOT
) -> list[Taken]:
    kept, rows, remembered, found = await _opened(directory), CspRows(), Remembered(), []

    def work(connection: Connection, batch: list[CspIntake]) -> None:
        with store:
            rows.store(connection, batch)

    for way in ways:
        taken = Taken(way.words, [], [], [])
        for number in range(rounds + 1):
            moments = [time.process_time()]
            with read:
                batches = _read(way, remembered, BATCHES)
            moments.append(time.process_time())
            for batch in batches:
                await kept.transact(partial(work, batch=batch))
                rows.ended(whole=True)
            moments.append(time.process_time())
            _by_rows(directory / f"{way.reports}-{number}.db", way)
            moments.append(time.process_time())
            if number:  # the first round finds nothing known
                for values, (begin, end) in zip(taken[1:], pairwise(moments), strict=True):
                    values.append((end - begin) / (BATCH * BATCHES * way.reports) * 1e6)
        found.append(taken)
    await kept.close()
    return found


async def _opened(directory: Path) -> SqliteStore:
    path = directory / "collector.db"
    await upgrade(f"sqlite:///{path}")
    kept = SqliteStore(path)
    await kept.transact(lambda connection: connection.execute(insert(projects).values(id=1, name="default", created_at=0)))
    return kept


def _read(way: Way, remembered: Remembered, batches: int) -> list[list[CspIntake]]:
    """What intake makes of the bodies, in batches."""
    now = time.time_ns() // 1_000_000
    intakes, bodies = [], way.bodies()
    for number in range(BATCH * batches):
        body = bodies[number % len(bodies)]
        found = remembered.arrived(body, user_agent=AGENT, project="default", now=now)
        brought = found.reports, found.fingerprints, found.drops, found.others
        intakes.append(CspIntake(1, "d", now, *brought, client=number % 7, ages=found.ages))
    return [intakes[start : start + BATCH] for start in range(0, len(intakes), BATCH)]


def _arrays(size: int) -> list[bytes]:
    ages = random.Random(0)
    count = BATCH * BATCHES
    return [
        encoded([report((first + k) % VARIANTS + 1, ages.randrange(60_000)) for k in range(size)]) for first in range(count)
    ]


def _by_rows(path: Path, way: Way) -> None:
    """The limit."""
    row = (1, 1_768_384_800, "script-src-elem", "enforce", "https://cdn7.example", "https://site1.example/area/1/page")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(
            "CREATE TABLE reports (project INT, at INT, directive TEXT, disposition TEXT, blocked TEXT, page TEXT)"
        )
        for _ in range(BATCHES):
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?)", [row] * (BATCH * way.reports))
            database.execute("COMMIT")


if __name__ == "__main__":
    sys.exit(main())
