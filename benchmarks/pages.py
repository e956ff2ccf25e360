"""How long the pages and the queries behind them take with 10,000 agents and 5,000 violations.

The collector runs in this process on the first core, under uvloop; a process on the last core asks for each path in turn, as
an owner who has signed in, and reads the answer to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import uvloop

from benchmarks.figures import keep
from benchmarks.fleet import fill
from collector.cli.pauses import short_pauses
from collector.http.auth import TOKEN_NAME
from tests.inside import Inside, running

ROUNDS = 20
PAGES = (
    "/",
    "/csp",
    "/csp?text=cdn-4999",
    "/csp/violations/{id}",
    "/csp/policy",
    "/csp/noise",
    "/aibridge",
    "/setup",
    "/api/v2/deployment/stats",
    "/api/v2/deployment/stats/history",
    "/api/v2/csp/violations",
    "/api/v2/csp/violations?sort=count",
    "/api/v2/csp/violations/groups",
    "/api/v2/csp/violations/{id}",
    "/api/v2/csp/violations/export",
)


class Asked(NamedTuple):
    """One path, asked for ``ROUNDS`` times."""

    path: str
    bytes: int
    milliseconds: list[float]


def main() -> int:
    """Run and print; with --write keep the figures in the page beside this file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/README.md")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)  # the other process: URL, token, a violation's id
    args = parser.parse_args()
    if args.ask:
        print(json.dumps(list(_asked(*args.ask))))
        return 0
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        text = _table(uvloop.run(_measured(Path(directory))))
    print(text)
    if args.write:
        keep("pages", text)
    return 0


async def _measured(directory: Path) -> list[Asked]:
    options = {"COLLECTOR_CSP_NEW_VIOLATIONS": "0", "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true"}
    async with running(f"sqlite:///{directory / 'collector.db'}", directory, **options) as collector:
        with short_pauses():  # as ``collector serve`` does
            await fill(collector)
            return await _of_another_process(collector)


async def _of_another_process(collector: Inside) -> list[Asked]:
    one = (await collector.get("/api/v2/csp/violations?limit=1"))["results"][0]["id"]
    command = [sys.executable, "-m", "benchmarks.pages", "--ask", collector.url, collector.secrets.token, one]
    core = str(max(os.sched_getaffinity(1)))
    process = await asyncio.create_subprocess_exec("taskset", "-c", core, *command, stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    return [Asked(*each) for each in json.loads(printed)]


# ── The other process ────────────────────────────────────────────────────────────────────────────────────────────────
def _asked(url: str, token: str, violation: str) -> Iterator[Asked]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    headers = {"Cookie": f"{TOKEN_NAME}={quote(token)}"}
    found = {path: Asked(path, 0, []) for path in PAGES}
    for _ in range(ROUNDS):
        for path in PAGES:
            began = time.perf_counter()
            connection.request("GET", path.format(id=violation), headers=headers)
            response = connection.getresponse()
            size = len(response.read())
            if response.status != http.HTTPStatus.OK:
                raise SystemExit(f"{path}: {response.status}")
            found[path].milliseconds.append((time.perf_counter() - began) * 1000)
            found[path] = found[path]._replace(bytes=size)
    yield from found.values()


def _table(asked: Sequence[Asked]) -> str:
    lines = ["| path | kB | median | 95 % within | longest |", "|---|---|---|---|---|"]
    for path, size, taken in asked:
        p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
        lines.append(f"| {path} | {size / 1e3:.0f} | {statistics.median(taken):.0f} ms | {p95:.0f} ms | {max(taken):.0f} ms |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
