"""``python -m benchmarks.workers``: durable single reports with one process and with two, by processor time.

The load generator needs a core too, so on a small machine two processes cannot show what they carry on cores of their own. What
can be measured is the processor time of each process a request: the busiest of them is full first, and one over its time is
what all together take in, given a core for each. Rounds alternate; rates are told as found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.__main__ import HERE, README, SECRETS, WARM_SECONDS, _cpu_seconds, _wait
from tests.postgres import free_port

ROUNDS, SECONDS = 7, 5
CONNECTIONS = (64, 256, 1024)
BEGIN, END = "<!-- workers -->\n", "<!-- end of workers -->"


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

    url: str
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
        machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d', time.gmtime())}"
        page = README.read_text()
        README.write_text(f"{page.partition(BEGIN)[0]}{BEGIN}{machine}\n\n{text}\n{END}{page.partition(END)[2]}")
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
    before = [_cpu_seconds(pid) for pid in server.pids]
    script = str(HERE / "wrk" / "legacy.lua")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, server.url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = [_cpu_seconds(pid) - was for pid, was in zip(server.pids, before, strict=True)]
    result = next(line for line in printed.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, microseconds, _, _, failed = map(int, result)
    return Load(requests / microseconds * 1e6, tuple(each / requests * 1e6 for each in used), failed)


@contextmanager
def _collector(data: Path, workers: int) -> Iterator[Server]:
    data.mkdir()
    port = free_port()
    env = {
        **os.environ,
        "COLLECTOR_DATA_DIR": str(data),
        "COLLECTOR_WORKERS": str(workers),
        "COLLECTOR_INGEST_RATE_LIMIT": str(10**9),  # the budget is looked at, and never used up
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "CODER_PROMETHEUS_ADDRESS": f"127.0.0.1:{free_port()}",
        "CODER_LOGGING_HUMAN": str(data / "log"),
    }
    printed = data / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "collector", "serve"], env=env, stdout=out)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/readyz")
        for _ in range(600):
            if "is ready" in printed.read_text():
                break
            time.sleep(0.1)
        key = json.loads((data / SECRETS).read_text())["browser_key"]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Server(f"{url}/csp/reports?key={key}", (process.pid, *map(int, children)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
