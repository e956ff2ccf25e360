"""Durable single reports with one process and with two (``COLLECTOR_WORKERS``), by processor time.

The load generator needs a core too, so on a small machine two processes cannot show what they carry on cores of their own:
all processes of a collector share the first core, wrk has the last. What is measured is the processor time of each process a
request. The busiest of them is full first, and one over its time is what all together take in, given a core for each. Rounds
alternate; rates are told as found.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers
from benchmarks.clocks import alternated, cpu_seconds
from benchmarks.figures import Figures, Plan, spread, table
from benchmarks.servers import collector, load
from tests.postgres import free_port

WARM_SECONDS = 2
CONNECTIONS = (64, 256)


class Load(NamedTuple):
    """One round: requests a second, of each process the microseconds of a core a request of all, and what failed."""

    per_second: float
    cpu_us: tuple[float, ...]  # the main process first
    failed: int

    @property
    def capacity(self) -> float:
        """Requests a second, given a core for each process."""
        return 1e6 / max(self.cpu_us)


class Server(NamedTuple):
    """A collector and the processes that it consists of."""

    entrance: servers.Server
    pids: tuple[int, ...]


def measure(plan: Plan) -> Figures:
    """One process and two, over each number of connections."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: make test-deps installs it")
    with tempfile.TemporaryDirectory() as directory:
        one, two = Path(directory, "one"), Path(directory, "two")
        with _collector(one, 1) as alone, _collector(two, 2) as both:
            found = [_compared(alone, both, n, plan.rounds, plan.seconds) for n in CONNECTIONS]
    rows = [row for each in found for row in each.rows()]
    return Figures(table(COLUMNS, rows), [each.data() for each in found])


COLUMNS = (
    "connections",
    "processes",
    "requests/s, as found",
    "CPU a request: main",
    "worker",
    "all",
    "given a core each",
    "against one, median (least to most)",
    "failed",
)


class Compared(NamedTuple):
    """The rounds of one number of connections."""

    connections: int
    one: list[Load]
    two: list[Load]

    @property
    def ratios(self) -> list[float]:
        """What two take in, given a core each, over what one does, by round."""
        return [two.capacity / one.capacity for one, two in zip(self.one, self.two, strict=True)]

    def rows(self) -> list[tuple[str, ...]]:
        """Of the table."""
        return [_row(self.connections, self.one, "1"), _row(self.connections, self.two, spread(self.ratios))]

    def data(self) -> dict[str, object]:
        """Of the file."""
        rounds = {"one": [each._asdict() for each in self.one], "two": [each._asdict() for each in self.two]}
        return {"connections": self.connections, "ratio": statistics.median(self.ratios), **rounds}


def _compared(alone: Server, both: Server, connections: int, rounds: int, seconds: int) -> Compared:
    for server in (alone, both):
        _load(server, connections, WARM_SECONDS)
    works = {"one": partial(_load, alone, connections, seconds), "two": partial(_load, both, connections, seconds)}
    return Compared(connections, **alternated(works, rounds))


def _row(connections: int, loads: list[Load], ratio: str) -> tuple[str, ...]:
    rate, capacity = (
        statistics.median(each) for each in zip(*((load.per_second, load.capacity) for load in loads), strict=True)
    )
    main_us, *workers_us = (statistics.median(each) for each in zip(*(load.cpu_us for load in loads), strict=True))
    return (
        str(connections),
        str(1 + len(workers_us)),
        f"{rate:,.0f}",
        f"{main_us:.0f} µs",
        f"{sum(workers_us):.0f} µs" if workers_us else "",
        f"{main_us + sum(workers_us):.0f} µs",
        f"{capacity:,.0f}/s",
        ratio,
        str(sum(load.failed for load in loads)),
    )


def _load(server: Server, connections: int, seconds: int) -> Load:
    before = [cpu_seconds(pid) for pid in server.pids]
    found = load(server.entrance, connections, seconds)
    used = [cpu_seconds(pid) - was for pid, was in zip(server.pids, before, strict=True)]
    requests = found.per_second * seconds
    return Load(found.per_second, tuple(each / requests * 1e6 for each in used), found.failed)


@contextmanager
def _collector(data: Path, workers: int) -> Iterator[Server]:
    data.mkdir()
    metrics = f"127.0.0.1:{free_port()}"
    with collector(data, COLLECTOR_WORKERS=str(workers), CODER_PROMETHEUS_ADDRESS=metrics) as entrance:
        listening = f"collector_workers {workers - 1}.0"
        for _ in range(600):
            with urllib.request.urlopen(f"http://{metrics}") as response:
                if listening in response.read().decode():
                    break
            time.sleep(0.1)
        children = Path(f"/proc/{entrance.pid}/task/{entrance.pid}/children").read_text().split()
        yield Server(entrance, (entrance.pid, *map(int, children)))
