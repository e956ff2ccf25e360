"""A year of reports fits in a small file, and no report is lost on its way from minutes to days."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Table, func, insert, literal, select, update

from collector.persist.csp import SAMPLES_PER_VIOLATION, CspRows
from collector.persist.engine import SqliteStore
from collector.persist.migrate import upgrade
from collector.persist.tables import (
    csp_days,
    csp_hours,
    csp_minutes,
    csp_samples,
    projects,
    snapshots,
    violations,
)
from collector.rollup.agentstats import AgentUse
from collector.rollup.retention import Retentions, purge
from collector.rollup.snapshot import WINDOW_MS, Snapshot, store
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import SessionCounts, Source
from collector.wire.records import CspIntake, CspReport, Sample

T = TypeVar("T")

VIOLATIONS = 200
DAYS = 365
# The days in which every minute is a row. Before them an hour is one row that holds what its sixty would, which folds
# into the same hours and days; six days are three lifetimes of a minute, so the file has long found its size.
DAYS_BY_THE_MINUTE = 6
START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
LAST_WEEK = START_MS // 60_000 + (DAYS - 8) * 1440  # from here on snapshots are stored: older ones would be gone
SNAPSHOT_MS = 30_000
LIMIT_BYTES = 50_000_000


class Fleet:
    """200 violations, each reported four times a minute, in a file of their own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "collector.db"
        self.store = SqliteStore(self.path)
        self.sent = 0
        self.slices: list[float] = []  # seconds in which each slice held the write lock

    async def write(self, work: Callable[[Connection], T]) -> T:
        """The service's writer, with a stopwatch."""
        started = time.perf_counter()
        result = await self.store.transact(work)
        self.slices.append(time.perf_counter() - started)
        return result

    async def first_reports(self) -> None:
        """Let the real intake make the violations, in as many minutes as fill every slot for samples."""
        await self.store.transact(lambda c: c.execute(insert(projects).values(id=1, name="shop", created_at=START_MS)))
        rows = CspRows()
        for minute in range(SAMPLES_PER_VIOLATION):
            await self.store.transact(partial(rows.store, intakes=[_intake(START_MS + minute * 60_000)]))
            self.sent += VIOLATIONS

    async def report(self, since: int, until: int, *, step: int) -> None:
        """Add a bucket for every violation and every ``step`` minutes from ``since`` until ``until`` (minutes)."""
        minutes = range(since, until, step)
        added = 4 * step * len(minutes)

        def work(connection: Connection) -> None:
            for minute in minutes:  # all violations of a minute together, as reports come in
                rows = select(violations.c.id, literal(minute), literal(3 * step), literal(step))
                connection.execute(insert(csp_minutes).from_select(["violation_id", "bucket", "enforce", "report"], rows))
            connection.execute(update(violations).values(count=violations.c.count + added, last_seen=until * 60_000 - 1))

        await self.store.transact(work)
        self.sent += added * VIOLATIONS

    async def snapshots(self, since: int, until: int) -> None:
        """Store a snapshot every 30 s from ``since`` until ``until`` (minutes)."""

        def work(connection: Connection) -> None:
            for at in range(since * 60_000, until * 60_000, SNAPSHOT_MS):
                store(connection, _snapshot(at))

        await self.store.transact(work)

    async def rows(self, table: Table) -> int:
        """How many rows ``table`` has."""
        return await self.store.read(lambda connection: connection.scalar(select(func.count()).select_from(table)) or 0)

    async def sums(self) -> tuple[int, int]:
        """Reports by the violations' own counts, and by their buckets."""

        def work(connection: Connection) -> tuple[int, int]:
            counted = connection.scalar(select(func.sum(violations.c.count)))
            return counted or 0, sum(_sum(connection, table) for table in (csp_minutes, csp_hours, csp_days))

        return await self.store.read(work)


def _sum(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.coalesce(func.sum(table.c.enforce + table.c.report + table.c.unknown), 0))) or 0


def _intake(received_at: int) -> CspIntake:
    reports = tuple(
        CspReport(
            effective_directive="script-src-elem",
            blocked_kind="origin",
            blocked_origin=f"https://cdn-{number}.example.net",
            blocked_key=f"https://cdn-{number}.example.net",
            document_origin="https://shop.example.com",
            disposition="enforce",
            noise_class=None,
            noise_rule=None,
            place="",
            sample=Sample(
                document_uri=f"https://shop.example.com/articles/{number}",
                blocked_uri=f"https://cdn-{number}.example.net/widget.js",
                source_file="https://shop.example.com/static/app.js",
                line_number=number,
                policy="default-src 'self'; script-src 'self'; report-uri",
                user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
        )
        for number in range(VIOLATIONS)
    )
    return CspIntake(
        project_id=1,
        deployment="d",
        received_at=received_at,
        reports=reports,
        fingerprints=tuple(f"{number:032x}" for number in range(VIOLATIONS)),
    )


def _snapshot(at: int) -> Snapshot:
    """One of a large deployment: no number is small enough to take less room than it may."""
    return Snapshot(
        deployment="5f0c6c1e-8d0b-4c39-9f1e-6f8b0c2a7d11",
        source=Source.REPORTS,
        aggregated_from=at - WINDOW_MS,
        collected_at=at,
        next_update_at=at + SNAPSHOT_MS,
        workspaces=WorkspaceCounts(pending=300, building=400, running=40_000, failed=500, stopped=60_000),
        agents=AgentUse(
            rx_bytes=10**15,
            tx_bytes=10**15,
            latency_p50_ms=31.4159265,
            latency_p95_ms=271.8281828,
            sessions=SessionCounts(vscode=40_000, ssh=50_000, jetbrains=60_000, reconnecting_pty=70_000),
        ),
    )


def _hours() -> Iterator[tuple[int, int, int]]:
    """(from, to, step) in minutes: the stretches of the year after each of which the hourly jobs are run."""
    start = START_MS // 60_000 + 60
    by_the_minute = START_MS // 60_000 + (DAYS - DAYS_BY_THE_MINUTE) * 1440
    for day in range(start, by_the_minute, 1440):
        yield day, min(day + 1440, by_the_minute), 60
    for hour in range(by_the_minute, START_MS // 60_000 + DAYS * 1440, 60):
        yield hour, hour + 60, 1


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_year_fits_in_fifty_megabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """200 violations seen every minute of a year take less than 50 MB, with every report in exactly one bucket.

    With them are all that the service keeps beside counts: ten samples of each violation, and a snapshot every 30 s of the
    week for which they are kept. Agents and workspaces are left out, since their rows grow with a fleet and not with time.
    """
    started = time.perf_counter()
    await upgrade(f"sqlite:///{tmp_path / 'collector.db'}")
    fleet = Fleet(tmp_path)
    await fleet.first_reports()
    for since, until, step in _hours():
        await fleet.report(since, until, step=step)
        if until > LAST_WEEK:
            await fleet.snapshots(since, until)
        await purge(fleet.write, Retentions(), now=until * 60_000)
    counted, in_buckets = await fleet.sums()
    samples, kept = await fleet.rows(csp_samples), await fleet.rows(snapshots)
    await fleet.store.close()  # the last connection leaves a checkpointed file and no WAL

    size = fleet.path.stat().st_size
    assert list(tmp_path.iterdir()) == [fleet.path]  # noqa: ASYNC240 — nothing else runs in this loop
    slices = sorted(fleet.slices)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{size / 1e6:.1f} MB after {DAYS} days and {fleet.sent:,} reports,"
            f" simulated in {time.perf_counter() - started:.0f} s; {len(slices):,} slices,"
            f" half within {statistics.median(slices) * 1000:.1f} ms, 99 % within {slices[-len(slices) // 100] * 1000:.1f} ms,"
            f" the longest {slices[-1] * 1000:.1f} ms\n"
        )
    assert samples == VIOLATIONS * SAMPLES_PER_VIOLATION
    assert kept >= 7 * 2_880  # as many as retention ever leaves
    assert counted == in_buckets == fleet.sent
    assert size < LIMIT_BYTES
