"""A disk that is full, read-only, slow or broken: what is acknowledged is stored, and what is refused is told why."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.failing.disk import Disk, in_place
from tests.failing.sent import AGENT, brought, counted, failing
from tests.inside import Inside, running, running_beside

AT_ONCE = 200


@asynccontextmanager
async def collecting(file: Path, directory: Path) -> AsyncIterator[tuple[Inside, Disk]]:
    """A collector whose database, new, lies on a disk of its own."""
    shutil.copy(file, directory / "collector.db")
    with in_place(Disk(directory)) as disk:
        async with running("sqlite", directory, COLLECTOR_SUBMIT_TIMEOUT="500ms") as collector:
            try:
                yield collector, disk
            finally:
                disk.room, disk.writable = None, True
                disk.turns.set()


def fill(disk: Disk) -> None:
    disk.room = 0


def break_down(disk: Disk) -> None:
    disk.writable = False


@pytest.mark.parametrize(("spoil", "why"), [(fill, "The disk is full."), (break_down, "The disk fails.")])
@pytest.mark.slow
async def test_where_nothing_can_be_written(
    migrated_file: Path, tmp_path: Path, spoil: Callable[[Disk], None], why: str
) -> None:
    """On a full or failing disk reports get a 503 with the reason, reading goes on, and so does writing when it can."""
    async with collecting(migrated_file, tmp_path) as (collector, disk):
        answers = [await brought(collector) for _ in range(3)]
        spoil(disk)
        refused = [await brought(collector) for _ in range(3)]
        assert await counted(collector) == 3
        assert (await failing(collector))["store"] == f"commits fail: {why}"
        disk.room, disk.writable = None, True
        async with asyncio.timeout(60):
            while await failing(collector):  # noqa: ASYNC110 — the writer looks by itself, once a second
                await asyncio.sleep(0)
        answers.append(await brought(collector))

        assert [status for status, _ in answers] == [200] * 4
        assert [(status, answer["detail"]) for status, answer in refused] == [(503, why)] * 3
        assert await counted(collector) == 4


async def test_a_slow_disk_is_shared(migrated_file: Path, tmp_path: Path) -> None:
    """Where a sync takes 10 ms, those who wait for one share the next, instead of each having one."""
    async with collecting(migrated_file, tmp_path) as (collector, disk):
        assert (await brought(collector))[0] == 200
        disk.sync_s, before = 0.01, disk.syncs
        answers = await asyncio.gather(*(brought(collector, number) for number in range(AT_ONCE)))

        assert [status for status, _ in answers] == [200] * AT_ONCE
        assert disk.syncs - before < AT_ONCE / 4


async def test_nobody_but_who_reports_waits_for_the_disk(migrated_file: Path, tmp_path: Path) -> None:
    """While a sync does not end nothing is acknowledged, and everything that only reads is answered."""
    async with collecting(migrated_file, tmp_path) as (collector, disk):
        assert (await brought(collector))[0] == 200
        disk.turns.clear()
        report = asyncio.create_task(brought(collector))
        assert await counted(collector) == 1
        assert (await collector.metrics())["collector_commits_total"] > 0
        async with collector.client.get("/healthz") as response:
            assert response.status == 200
        assert not report.done()
        disk.turns.set()
        assert (await report)[0] == 200


@pytest.mark.slow
async def test_a_broken_page_is_told(migrated_file: Path, tmp_path: Path) -> None:
    """Where a page of the file is broken the service starts all the same, and refuses what would have to be kept in it."""
    file = tmp_path / "collector.db"
    shutil.copy(migrated_file, file)
    async with running("sqlite", tmp_path) as first:
        assert (await brought(first))[0] == 200
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'violations'").fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as whole:
        whole.seek((page - 1) * size)
        whole.write(b"\xa5" * size)
    async with running_beside(first, "sqlite", tmp_path, COLLECTOR_SUBMIT_TIMEOUT="500ms") as collector:
        status, answer = await brought(collector)
        assert (status, answer["detail"]) == (503, "The database is damaged.")
        async with collector.client.get("/api/v2/csp/violations", headers=collector.owner) as response:
            assert response.status == 503
        rows = json.dumps([AGENT])
        assert (await collector.post("/api/v2/ingest/agent-stats", rows, **collector.feed))[0] == 200
        await collector.get("/api/v2/deployment/stats")
