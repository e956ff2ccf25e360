"""``make bench``: durable single reports a second, as a ratio to a bare aiohttp handler, in one run on one pinned core.

Both servers are pinned to the first core and loaded in turn by wrk on the last, several rounds each, so that whatever else
the machine does hits both. The ratio is the median over the rounds of (collector / bare handler) within a round. So is the
one by processor time, which tells what a core would carry were it not shared with others.
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
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.postgres import free_port

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
ROUNDS, SECONDS, WARM_SECONDS = 5, 5, 2
SECRETS = "first-start-secrets.json"


class Load(NamedTuple):
    """One round of load on one server."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float  # of the server, user and system, a request


class Server(NamedTuple):
    """Something that takes reports."""

    name: str
    url: str
    pid: int


class Comparison(NamedTuple):
    """The rounds of one number of connections."""

    connections: int
    bare: list[Load]
    collector: list[Load]

    @property
    def ratios(self) -> list[float]:
        """Requests a second of the collector over those of the bare handler, by round."""
        return [ours.per_second / limit.per_second for ours, limit in zip(self.collector, self.bare, strict=True)]

    @property
    def cpu_ratios(self) -> list[float]:
        """Processor time a request of the bare handler over that of the collector, by round."""
        return [limit.cpu_us / ours.cpu_us for ours, limit in zip(self.collector, self.bare, strict=True)]


def main() -> int:
    """Run, print, and with --write keep the figures beside this file."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: make test-deps installs it")
    with tempfile.TemporaryDirectory() as directory, _bare() as bare, _collector(Path(directory)) as collector:
        results = [_compared(bare, collector, n, args.rounds, args.seconds) for n in (64, 256)]
    text = _table(results)
    print(text)
    if args.write:
        _keep(results, text)
    return 0


def _compared(bare: Server, collector: Server, connections: int, rounds: int, seconds: int) -> Comparison:
    comparison = Comparison(connections, [], [])
    for server in (bare, collector):
        _load(server, connections, WARM_SECONDS)
    for number in range(rounds):
        # The order turns with every round: neither is always the one that finds the machine rested.
        for server in (bare, collector) if number % 2 else (collector, bare):
            (comparison.bare if server is bare else comparison.collector).append(_load(server, connections, seconds))
        ratios = f"ratio {comparison.ratios[-1]:.3f}, by processor time {comparison.cpu_ratios[-1]:.3f}"
        print(f"{connections} connections, round {number + 1}: {ratios}", file=sys.stderr)
    return comparison


def _load(server: Server, connections: int, seconds: int) -> Load:
    before = _cpu_seconds(server.pid)
    script = str(HERE / "wrk" / "legacy.lua")
    command = [*_pinned(-1), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, server.url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = _cpu_seconds(server.pid) - before
    result = next(line for line in printed.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, microseconds, p50, p99, failed = map(int, result)
    return Load(requests / microseconds * 1e6, p50 / 1000, p99 / 1000, failed, used / requests * 1e6)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pinned(core: int) -> list[str]:
    """What pins a command to the first (0) or last (-1) core that we may use."""
    return ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[core])]


@contextmanager
def _bare() -> Iterator[Server]:
    port = free_port()
    with _process([sys.executable, str(HERE / "bare.py"), str(port)], dict(os.environ)) as pid:
        url = f"http://127.0.0.1:{port}/csp/reports"
        _wait(url, any_answer=True)  # it takes no GET
        yield Server("bare handler", url, pid)


@contextmanager
def _collector(data: Path) -> Iterator[Server]:
    port, metrics = free_port(), free_port()
    env = {
        **os.environ,
        "COLLECTOR_DATA_DIR": str(data),
        "COLLECTOR_INGEST_RATE_LIMIT": str(10**9),  # the budget is looked at, and never used up
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "CODER_PROMETHEUS_ADDRESS": f"127.0.0.1:{metrics}",
        "CODER_LOGGING_HUMAN": str(data / "log"),
    }
    with _process([sys.executable, "-m", "collector", "serve"], env) as pid:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/readyz")
        key = json.loads((data / SECRETS).read_text())["browser_key"]
        yield Server("collector", f"{url}/csp/reports?key={key}", pid)


@contextmanager
def _process(command: list[str], env: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen([*_pinned(0), *command], env=env, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait(address: str, *, any_answer: bool = False) -> None:
    """Return once ``address`` answers 200, or answers at all."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address):
                return
        except urllib.error.HTTPError:
            if any_answer:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"{address} did not answer within 30 s")


def _table(results: list[Comparison]) -> str:
    head = "| connections | server | requests/s | CPU a request | p50 | p99 | ratio, median (least to most) | by CPU |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for result in results:
        for name, loads in (("bare aiohttp handler", result.bare), ("collector, durable", result.collector)):
            middle = [statistics.median(values) for values in zip(*loads, strict=True)]
            ours = name.startswith("collector")
            ratio, by_cpu = (_spread(result.ratios), _spread(result.cpu_ratios)) if ours else ("1", "1")
            failures = sum(load.failed for load in loads)
            failed = f", {failures} FAILED" if failures else ""
            lines.append(
                f"| {result.connections} | {name}{failed} | {middle[0]:,.0f} | {middle[4]:.0f} µs"
                f" | {middle[1]:.1f} ms | {middle[2]:.1f} ms | {ratio} | {by_cpu} |"
            )
    return "\n".join(lines)


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _keep(results: list[Comparison], text: str) -> None:
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d', time.gmtime())}"
    figures = [
        {
            "connections": r.connections,
            "ratio": statistics.median(r.ratios),
            "ratios": r.ratios,
            "cpu_ratio": statistics.median(r.cpu_ratios),
            "cpu_ratios": r.cpu_ratios,
        }
        for r in results
    ]
    RESULTS.write_text(json.dumps({"machine": machine, "single_reports": figures}, indent=2) + "\n")
    begin, end = "<!-- figures -->\n", "<!-- end -->"
    page = README.read_text()
    head, tail = page.partition(begin)[0], page.partition(end)[2]
    README.write_text(f"{head}{begin}{machine}\n\n{text}\n{end}{tail}")


if __name__ == "__main__":
    sys.exit(main())
