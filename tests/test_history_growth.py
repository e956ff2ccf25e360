"""A year of snapshots fits in a small file, and every history of it is read in a moment."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, func, select

from collector.http.errors import json_bytes
from collector.persist.engine import SqliteStore
from collector.persist.history_tables import history_hours
from collector.persist.migrate import upgrade
from collector.rollup.agentstats import AgentUse
from collector.rollup.history import MAX_POINTS, Span, history, nice_step
from collector.rollup.retention import Retentions, purge
from collector.rollup.snapshot import Snapshot, store
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import SessionCounts, Source
from tests.records import DEPLOYMENT

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
END_MS = START_MS + 365 * DAY_MS
LIMIT_BYTES = 100_000_000
STEPS = 1_000  # of SQLite's machine between two looks at how many they are
LIMIT_STEPS = 1_000_000  # about a tenth of a second where a core is slow, however busy it is
ATTEMPTS = 5  # the best is printed, in seconds of a processor: other work on the machine is not the history's


def moments(day: int) -> Iterator[int]:
    """When the snapshots of a day are made: every 30 s in the last eight, which outlive their retention.

    Before that two for each point that is kept, of an hour or of five minutes: it is as large as if it stood for all.
    """
    left = 365 - day
    apart = 30_000 if left <= 8 else 150_000 if left <= 91 else 1_800_000
    return iter(range(START_MS + day * DAY_MS, START_MS + (day + 1) * DAY_MS, apart))


def snapshot(at: int) -> Snapshot:
    """A few thousand workspaces that come and go with the hours."""
    wave = math.sin(at / 86_400_000 * math.tau) + 1 + math.sin(at / 7_000_000) / 7
    return Snapshot(
        deployment=DEPLOYMENT,
        source=Source.REPORTS,
        aggregated_from=at - 900_000,
        collected_at=at,
        next_update_at=at + 30_000,
        workspaces=WorkspaceCounts(
            pending=int(wave * 9),
            building=int(wave * 40),
            running=int(wave * 1_500),
            failed=31,
            stopped=4_000 - int(wave * 1_500),
        ),
        agents=AgentUse(
            int(wave * 10**10),
            int(wave * 10**9),
            wave * 40 + 0.123,
            wave * 90 + 0.456,
            SessionCounts(
                vscode=int(wave * 900), ssh=int(wave * 300), jetbrains=int(wave * 200), reconnecting_pty=int(wave * 50)
            ),
        ),
    )


def fill(connection: Connection, day: int) -> None:
    """Store the snapshots of a day."""
    for at in moments(day):
        store(connection, snapshot(at))


REQUESTS = [
    *((days, None) for days in (1 / 24, 1, 7, 30, 90, 365, 3_650)),  # as a chart asks
    (7, 303),
    (7, 420),
    (90, 3_900),
    (90, 4_200),
    (365, 3_600 * 5),
    (365, 86_400),
    (83, 3_600),  # as people do
]


def cost_of(engine: Engine, since: int, step: int) -> tuple[float, int]:
    """What a history until now takes: seconds from the rows to the bytes of the answer, and steps of SQLite's machine."""
    taken, looks = [], itertools.count()
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        for attempt in range(ATTEMPTS + 1):
            raw.set_progress_handler((lambda: next(looks) < 0) if attempt == ATTEMPTS else None, STEPS)  # True would end it
            begun = time.process_time()
            answer = history(connection, Span(DEPLOYMENT, since, END_MS), step_seconds=step)
            json_bytes(answer)
            taken.append(time.process_time() - begun)
        raw.set_progress_handler(None, 0)
    assert 0 < len(answer.points) <= MAX_POINTS
    assert answer.points[-1].stats is not None
    return min(taken), next(looks) * STEPS


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_year_of_snapshots_is_small_and_quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A year takes less than 100 MB, and any history of it reads as much as is done in 100 ms."""
    path = tmp_path / "collector.db"
    await upgrade(f"sqlite:///{path}")
    database = SqliteStore(path)
    begun = time.perf_counter()
    for day in range(365):
        await database.transact(partial(fill, day=day))
        await purge(database.transact, Retentions(), now=START_MS + (day + 1) * DAY_MS)
    simulated = time.perf_counter() - begun
    hours = await database.read(lambda connection: connection.scalar(select(func.count()).select_from(history_hours)))
    await database.close()
    engine, costs = create_engine(f"sqlite:///{path}"), {}
    for days, asked in REQUESTS:
        since = max(0, END_MS - int(days * DAY_MS))
        step = asked or nice_step(since, END_MS, 30_000)
        costs[days, step] = cost_of(engine, since, step)
    engine.dispose()

    with capsys.disabled():
        sys.stdout.write(f"\n{path.stat().st_size / 1e6:.1f} MB after a year, simulated in {simulated:.0f} s\n")
        for (days, step), (seconds, steps) in costs.items():
            sys.stdout.write(f"  {days:g} days by {step} s: {seconds * 1000:.0f} ms, {steps:,} steps\n")
    assert hours == 365 * 24
    assert path.stat().st_size < LIMIT_BYTES
    assert max(steps for _, steps in costs.values()) < LIMIT_STEPS
