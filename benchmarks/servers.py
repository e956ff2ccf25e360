"""The servers that are compared, each pinned to one core, and wrk, which loads them from another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.clocks import cpu_seconds
from tests.postgres import free_port

HERE = Path(__file__).resolve().parent
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


def load(server: Server, connections: int, seconds: int, script: str = "legacy.lua", *args: str) -> Load:
    """One round of load: ``script`` of wrk's, with its arguments, says what is sent."""
    before = cpu_seconds(server.pid)
    path = str(HERE / "wrk" / script)
    how = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", path, server.url, "--", *args]
    command = [*pinned(-1), "wrk", *how]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = cpu_seconds(server.pid) - before
    result = next(line for line in printed.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, microseconds, p50, p99, failed = map(int, result)
    return Load(requests / microseconds * 1e6, p50 / 1000, p99 / 1000, failed, used / requests * 1e6)


def pinned(core: int) -> list[str]:
    """What pins a command to the first (0) or last (-1) core that there is for us, wherever this process is pinned to."""
    return ["taskset", "-c", str(sorted(os.sched_getaffinity(os.getppid()))[core])]


@contextmanager
def bare() -> Iterator[Server]:
    """The limit: a handler that reads the body."""
    port = free_port()
    with _process([sys.executable, str(HERE / "bare.py"), str(port)], dict(os.environ)) as pid:
        url = f"http://127.0.0.1:{port}/csp/reports"
        _wait(url, any_answer=True)  # it takes no GET
        yield Server("bare handler", url, pid)


@contextmanager
def collector(data: Path, **options: str) -> Iterator[Server]:
    """A collector with its data in ``data``, and ``options``."""
    port = free_port()
    env = environment(data, port) | options
    with _process([sys.executable, "-m", "collector", "serve"], env) as pid:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/readyz")
        yield Server("collector", f"{url}/csp/reports?key={secrets(data)['browser_key']}", pid)


def secrets(data: Path) -> dict[str, str]:
    """The token and the keys of a first start, by name."""
    found: dict[str, str] = json.loads((data / SECRETS).read_text())
    return found


def environment(data: Path, port: int) -> dict[str, str]:
    """What a collector is started with that has its data in ``data`` and listens on ``port``."""
    return {
        **os.environ,
        "COLLECTOR_DATA_DIR": str(data),
        "COLLECTOR_INGEST_RATE_LIMIT": str(10**9),  # the budget is looked at, and never used up
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "CODER_PROMETHEUS_ADDRESS": f"127.0.0.1:{free_port()}",
        "CODER_LOGGING_HUMAN": str(data / "log"),
    }


@contextmanager
def _process(command: list[str], env: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen([*pinned(0), *command], env=env, stdout=subprocess.DEVNULL)
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
