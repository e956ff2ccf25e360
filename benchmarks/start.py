"""How long from the start of a collector until it is ready: without a database, with an empty one, and with one of 1 GB.

The large one holds rows as they really occur, put in by the database itself: a day of agent reports, violations with buckets
and samples, and AI records. It is started after an end like any other, and after a kill, which leaves a log to go through.
The limit is a bare handler: what a start costs is imports, and must not grow with what is stored.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import stored
from benchmarks.clocks import cpu_seconds
from benchmarks.figures import Figures, Plan, table
from benchmarks.rollup import migrated
from benchmarks.servers import HERE, environment
from collector.persist.engine import Store
from tests.postgres import free_port

SIZE, FEW = 1_000_000_000, 30_000_000
DAY_MS = 86_400_000
AT_ONCE = 100_000  # interceptions
STARTS = 3


class Start(NamedTuple):
    """So many starts of one kind."""

    what: str
    database_mb: float
    seconds: list[float]
    cpu_seconds: list[float]  # until it was ready


def measure(plan: Plan) -> Figures:
    """Starts of every kind."""
    with tempfile.TemporaryDirectory() as name:
        empty, large = Path(name, "empty"), Path(name, "large")
        starts = [
            _starts("bare handler", None),
            _starts("no database yet", empty, fresh=True),
            _starts("an empty database", empty),
        ]
        shutil.copytree(empty, large)
        asyncio.run(_filled(large / "collector.db", FEW if plan.small else SIZE))
        starts += [_starts("a large database", large), _starts("a large database, after a kill", large, killed=True)]
    limit = statistics.median(starts[0].cpu_seconds)
    rows = [
        (
            one.what,
            f"{one.database_mb:,.1f} MB",
            f"{statistics.median(one.seconds):.2f} s",
            f"{max(one.seconds):.2f} s",
            f"{statistics.median(one.cpu_seconds):.2f} s",
            f"{statistics.median(one.cpu_seconds) / limit:.1f}",
        )
        for one in starts
    ]
    text = table(("start with", "database", "ready, median", "longest", "CPU until then", "to the bare handler"), rows)
    return Figures(text, [one._asdict() for one in starts])


def _starts(what: str, data: Path | None, *, fresh: bool = False, killed: bool = False) -> Start:
    taken = []
    for _ in range(STARTS):
        if fresh and data is not None:
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir()
        if killed:
            _until_ready(data, signal.SIGKILL)
        taken.append(_until_ready(data, signal.SIGTERM))
        print(f"{what}: {taken[-1]}", file=sys.stderr)
    size = 0 if data is None else sum(file.stat().st_size for file in data.glob("collector.db*"))
    return Start(what, size / 1e6, [each[0] for each in taken], [each[1] for each in taken])


def _until_ready(data: Path | None, end: signal.Signals) -> tuple[float, float]:
    """Seconds by the clock and of a core; then the process is ended."""
    port = free_port()
    began = time.perf_counter()
    if data is None:
        command, env, path = [sys.executable, str(HERE / "bare.py"), str(port)], dict(os.environ), "/"
    else:
        command, env, path = [sys.executable, "-m", "collector", "serve"], environment(data, port), "/readyz"
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        while not _answers(f"http://127.0.0.1:{port}{path}", any_answer=data is None):
            time.sleep(0.005)
            if process.poll() is not None:
                raise SystemExit("it has ended")
        return time.perf_counter() - began, cpu_seconds(process.pid)
    finally:
        process.send_signal(end)
        process.wait(30)


def _answers(address: str, *, any_answer: bool) -> bool:
    try:
        with urllib.request.urlopen(address):
            return True
    except urllib.error.HTTPError:
        return any_answer
    except OSError:
        return False


async def _filled(path: Path, size: int) -> None:
    """Rows of every kind, until the file has ``size`` bytes: the half of them agent reports."""
    now = time.time_ns() // 1_000_000
    deployment = _deployment(path)
    share = size / SIZE
    async with migrated(f"sqlite:///{path}") as store:
        await stored.agents(store, max(1, int(1_500 * share)), deployment=deployment, now=now)
        await stored.agent_reports(store, since=now - DAY_MS, until=now)
        violations = max(1, int(1_000 * share))
        await stored.violations(store, violations, deployment=deployment, now=now, minutes=48 * 60, hours=90 * 24)
        await _interceptions(store, size, deployment, now, max(1_000, int(AT_ONCE * share)))


async def _interceptions(store: Store, size: int, deployment: str, now: int, at_once: int) -> None:
    after = 0
    while await store.size_bytes() < size:
        await stored.interceptions(store, at_once, after=after, deployment=deployment, now=now)
        after += at_once


def _deployment(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("SELECT value FROM meta WHERE key = 'deployment_id'").fetchone()[0])
