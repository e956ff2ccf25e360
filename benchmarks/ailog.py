"""What taking in an AI bridge's log costs: lines of JSON over HTTP into SQLite, each acknowledged once it is durable.

The log is made anew for each round, so that no record has come before. The limit is ``sqlite3`` by itself: as many rows of
the size of a record by ``executemany``, in transactions of as many, into a table with one key, under the same settings.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.clocks import cpu_seconds, processor_time
from benchmarks.figures import Figures, Plan, spread, table
from benchmarks.servers import Server, collector, secrets
from tests.aibridge import synthetic

SIZE, FEW = 4_000_000, 400_000
PART = 250_000  # bytes a request, about
ROW = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)"


class Round(NamedTuple):
    """One log; times are µs of a core a line."""

    lines: int
    cpu_us: float
    limit_us: float


def measure(plan: Plan) -> Figures:
    """So many logs."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with collector(directory) as server:
            rounds = [_of_log(server, directory, FEW if plan.small else SIZE, seed) for seed in range(plan.rounds + 1)]
    taken = rounds[1:]  # the first finds nothing warm
    row = (
        f"{taken[0].lines:,}",
        f"{statistics.median(one.cpu_us for one in taken):.1f} µs",
        f"{statistics.median(one.limit_us for one in taken):.2f} µs",
        spread([one.cpu_us / one.limit_us for one in taken], 1),
    )
    columns = ("lines in a log", "CPU a line", "a row of executemany", "ratio, median (least to most)")
    return Figures(table(columns, [row]), [one._asdict() for one in taken])


def _of_log(server: Server, directory: Path, size: int, seed: int) -> Round:
    lines = list(synthetic(size, seed=1_000 + seed))
    at_once = max(1, PART * len(lines) // size)
    parts = [b"".join(lines[start : start + at_once]) for start in range(0, len(lines), at_once)]
    before = cpu_seconds(server.pid)
    for part in parts:
        _post(server, directory, part)
    used = cpu_seconds(server.pid) - before
    limit = processor_time(lambda: _rows(directory / f"rows-{seed}.db", len(lines), at_once))
    return Round(len(lines), used / len(lines) * 1e6, limit / len(lines) * 1e6)


def _post(server: Server, directory: Path, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {secrets(directory)['feed_key']}", "Content-Type": "application/x-ndjson"}
    origin = server.url.partition("/csp/")[0]
    with urllib.request.urlopen(urllib.request.Request(f"{origin}/api/v2/ingest/aibridge", body, headers)) as response:
        if response.status != 200:
            raise SystemExit(f"a log was answered with {response.status}")


def _rows(path: Path, count: int, at_once: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE records (interception INT, key BLOB PRIMARY KEY, at INT, a INT, b INT, text TEXT)")
        for start in range(0, count, at_once):
            rows = [(n, os.urandom(16), n, 900, 300, "0123456789abcdef" * 2) for n in range(start, min(start + at_once, count))]
            database.execute("BEGIN IMMEDIATE")
            database.executemany(ROW, rows)
            database.execute("COMMIT")
