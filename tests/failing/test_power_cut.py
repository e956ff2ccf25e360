"""The power fails at every write, not only at some: what was acknowledged is there afterwards, and the file is whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.failing.disk import Cut, Disk, Noted, Platter, Written, anything, in_place, nothing
from tests.failing.sent import AGENT, brought
from tests.inside import Inside, running

ROUNDS, REPORTS, AGENTS = 24, 5, 3
DATABASE = "collector.db"


@dataclass
class Known:
    """What the clients knew at a moment."""

    sent: int = 0
    acknowledged: int = 0
    ids_sent: set[bytes] = field(default_factory=set)
    ids_acknowledged: set[bytes] = field(default_factory=set)

    def copy(self) -> Known:
        return Known(self.sent, self.acknowledged, set(self.ids_sent), set(self.ids_acknowledged))


def as_stored(id_: str) -> bytes:
    """How the database keeps the id of an agent report."""
    return hashlib.blake2b(id_.encode(), digest_size=16).digest()


async def bring(collector: Inside, disk: Disk) -> None:
    """Some rounds of CSP reports and of agent reports, with what is known noted before and after each request."""
    known = Known()

    async def violation(number: int) -> None:
        known.sent += 1
        disk.note(known.copy())
        assert (await brought(collector, number))[0] == 200
        known.acknowledged += 1
        disk.note(known.copy())

    async def agents() -> None:
        rows = [{**AGENT, "id": uuid.uuid4().hex} for _ in range(AGENTS)]
        ids = {as_stored(str(row["id"])) for row in rows}
        known.ids_sent |= ids
        disk.note(known.copy())
        status, answer = await collector.post("/api/v2/ingest/agent-stats", json.dumps(rows), **collector.feed)
        assert status == 200, answer
        known.ids_acknowledged |= ids
        disk.note(known.copy())

    for number in range(ROUNDS):
        await asyncio.gather(*(violation(number + each) for each in range(REPORTS)), agents())
        if number in (ROUNDS // 3, 2 * ROUNDS // 3):
            await asyncio.to_thread(checkpoint, disk.directory / DATABASE)


def checkpoint(path: Path) -> None:
    """Bring what is in the WAL into the database, as SQLite does by itself every thousand pages."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def moments(disk: Disk, base: dict[str, bytes]) -> Iterator[tuple[Platter, Known]]:
    """Before each change that reaches the disk, what lies on it and what is known."""
    platter, known = Platter(base), Known()
    for event in disk.events:
        if isinstance(event, Noted):
            known = event.fact
            continue
        if isinstance(event, Written | Cut):
            yield platter, known
        platter.apply(event)
    yield platter, known


def fault(directory: Path, files: dict[str, bytearray], known: Known) -> str | None:
    """What is wrong with these files after a start on them, if something is."""
    for name, content in files.items():
        (directory / name).write_bytes(content)
    (directory / f"{DATABASE}-shm").unlink(missing_ok=True)
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        [whole] = connection.execute("PRAGMA integrity_check").fetchone()
        [reports] = connection.execute("SELECT coalesce(sum(count), 0) FROM violations").fetchone()
        ids = {id_ for (id_,) in connection.execute("SELECT report_id FROM agent_report_ids")}
    if whole != "ok":
        return f"the file is broken: {whole}"
    if not known.acknowledged <= reports <= known.sent:
        return f"{reports} reports of {known.acknowledged} acknowledged and {known.sent} sent"
    if not known.ids_acknowledged <= ids <= known.ids_sent:
        return f"{len(ids)} agent reports of {len(known.ids_acknowledged)} acknowledged and {len(known.ids_sent)} sent"
    return None


async def recorded(file: Path, directory: Path, *, honest: bool) -> tuple[Disk, dict[str, bytes]]:
    """A disk after a collector has worked on it, and what was on it before."""
    shutil.copy(file, directory / DATABASE)
    base = {DATABASE: (directory / DATABASE).read_bytes()}
    with in_place(Disk(directory, honest=honest)) as disk:
        async with running(f"sqlite:///{directory / DATABASE}", directory) as collector:
            await bring(collector, disk)
    return disk, base


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_no_power_cut_loses_what_was_acknowledged(
    migrated_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever of the writes it meets, and whatever of those that were not synced is there."""
    disk, base = await recorded(migrated_file, tmp_path, honest=True)
    after = tmp_path / "after"
    after.mkdir()
    chance, cuts = random.Random(4), 0
    for platter, known in moments(disk, base):
        for luck in (nothing, anything(chance)):
            cuts += 1
            assert fault(after, platter.after_cut(luck), known) is None, f"cut {cuts}"
    with capsys.disabled():
        sys.stdout.write(f"\n{cuts:,} power cuts, nothing lost\n")


@pytest.mark.slow
async def test_a_disk_that_does_not_sync_is_found_out(migrated_file: Path, tmp_path: Path) -> None:
    """Without its syncs the same work loses what was acknowledged: the cuts would show it."""
    disk, base = await recorded(migrated_file, tmp_path, honest=False)
    after = tmp_path / "after"
    after.mkdir()
    faults = (fault(after, platter.after_cut(nothing), known) for platter, known in moments(disk, base))
    assert next(filter(None, faults)) is not None
