"""How much memory a collector takes, and how large its database becomes: reports of 200 distinct violations, in arrays of 50.

They come over HTTP as fast as they are answered. ``make bench`` sends 500,000 of them; ``python -m benchmarks memory
--reports 10000000`` sends as many as it is told. The limit is a bare handler that takes as many requests. Totals must come
out exact, and the database small: its cost grows with violations, not with traffic.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.clocks import cpu_seconds, resident_mb
from benchmarks.figures import Figures, Plan, table
from benchmarks.reports import VIOLATIONS
from benchmarks.sending import sent
from benchmarks.servers import Server, bare, collector

REPORTS, FEW, STEP, ARRAY = 500_000, 50_000, 500_000, 50


class Stage(NamedTuple):
    """So many reports later."""

    reports: int
    resident_mb: float
    most_mb: float
    database_mb: float
    cpu_us: float  # a report, since the stage before


def measure(plan: Plan) -> Figures:
    """Memory by the number of reports."""
    reports = plan.reports or (FEW if plan.small else REPORTS)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with bare() as limit:
            beside = [("bare handler, idle", resident_mb(limit.pid))]
            sent(limit.url, min(reports, REPORTS) // ARRAY, ARRAY)
            beside.append((f"bare handler, {min(reports, REPORTS):,} reports", resident_mb(limit.pid)))
        with collector(directory) as ours:
            beside.append(("collector, idle", resident_mb(ours.pid)))
            stages = list(_stages(ours, directory, reports))
        counted = _counted(directory)
    if counted != (VIOLATIONS, reports, reports):
        raise SystemExit(f"{reports:,} reports were sent; violations, their counts, and their buckets: {counted}")
    columns = ("server", "resident", "at most", "database", "CPU a report")
    rows = [(words, f"{mb:.0f} MB", "", "", "") for words, mb in beside]
    rows += [(f"collector, {one.reports:,} reports", *_cells(one)) for one in stages]
    return Figures(table(columns, rows), {"beside": beside, "stages": [one._asdict() for one in stages]})


def _cells(stage: Stage) -> tuple[str, str, str, str]:
    return f"{stage.resident_mb:.0f} MB", f"{stage.most_mb:.0f} MB", f"{stage.database_mb:.1f} MB", f"{stage.cpu_us:.1f} µs"


def _stages(server: Server, directory: Path, reports: int) -> Iterator[Stage]:
    each = min(reports, STEP)
    for done in range(each, reports + 1, each):
        before = cpu_seconds(server.pid)
        sent(server.url, each // ARRAY, ARRAY)
        used = cpu_seconds(server.pid) - before
        files = sum(file.stat().st_size for file in directory.glob("collector.db*"))
        stage = Stage(done, resident_mb(server.pid), resident_mb(server.pid, "VmHWM"), files / 1e6, used / each * 1e6)
        print(stage, file=sys.stderr, flush=True)
        yield stage


def _counted(directory: Path) -> tuple[int, int, int]:
    """How many violations there are, the sum of their counts, and that of their buckets; the collector has ended."""
    with closing(sqlite3.connect(directory / "collector.db")) as database:
        ((violations, counts),) = database.execute("SELECT count(*), sum(count) FROM violations")
        buckets = sum(
            database.execute(f"SELECT coalesce(sum(enforce + report + unknown), 0) FROM {name}").fetchone()[0]
            for name in ("csp_minutes", "csp_hours", "csp_days")
        )
    return violations, counts, buckets
