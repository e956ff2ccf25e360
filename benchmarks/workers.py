"""``python -m benchmarks.workers``: durable single reports with one process and with two, by processor time.

The load generator needs a core too, so on a small machine two processes cannot show what they carry on cores of their own: all
processes of a collector share the first core, wrk has the last. What is measured is the processor time of each process a
request. The busiest of them is full first, and one over its time is what all together take in, given a core for each. Rounds
alternate; rates are told as found.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers
from benchmarks.clocks import cpu_seconds
from benchmarks.figures import keep
from benchmarks.servers import collector, load
from tests.postgres import free_port

ROUNDS, SECONDS, WARM_SECONDS = 7, 5, 2
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


def main() -> int:
    """Run, print, and with --write keep the figures beside this file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/README.md")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: make test-deps installs it")
    with tempfile.TemporaryDirectory() as directory:
        one, two = Path(directory, "one"), Path(directory, "two")
        with _collector(one, 1) as alone, _collector(two, 2) as both:
            rows = [_compared(alone, both, n, args.rounds, args.seconds) for n in CONNECTIONS]
    text = "\n".join([HEAD, *rows])
    print(text)
    if args.write:
        keep("workers", text)
    return 0


COLUMNS = (
    "connections",
    "processes",
    "requests/s, as found",
    "CPU a request: main",
    "worker",
    "all",
    "given a core each",
    "against one, median (least to most)",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def _compared(alone: Server, both: Server, connections: int, rounds: int, seconds: int) -> str:
    for server in (alone, both):
        _load(server, connections, WARM_SECONDS)
    found: dict[Server, list[Load]] = {alone: [], both: []}
    for number in range(rounds):
        for server in (alone, both) if number % 2 else (both, alone):
            found[server].append(_load(server, connections, seconds))
        print(f"{connections} connections, round {number + 1}: {found[both][-1].capacity / found[alone][-1].capacity:.2f}")
    ratios = [two.capacity / one.capacity for one, two in zip(found[alone], found[both], strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return "\n".join([_row(connections, found[alone], "1"), _row(connections, found[both], spread)])


def _row(connections: int, loads: list[Load], ratio: str) -> str:
    rate, capacity = (
        statistics.median(each) for each in zip(*((load.per_second, load.capacity) for load in loads), strict=True)
    )
    main_us, *workers_us = (statistics.median(each) for each in zip(*(load.cpu_us for load in loads), strict=True))
    failures = sum(load.failed for load in loads)
    failed = f", {failures} FAILED" if failures else ""
    worker = f"{sum(workers_us):.0f} µs" if workers_us else ""
    return (
        f"| {connections} | {1 + len(workers_us)}{failed} | {rate:,.0f} | {main_us:.0f} µs | {worker}"
        f" | {main_us + sum(workers_us):.0f} µs | {capacity:,.0f}/s | {ratio} |"
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


if __name__ == "__main__":
    sys.exit(main())
