"""What a scrape of /metrics takes of 10,000 agents, 5,000 violations and 40 projects, and how long it holds up the event loop.

The collector runs in this process on the first core, under uvloop, with a snapshot and Coder's metrics made anew every half
minute, as it does unless told otherwise, by a clock that stands still: the agents' last minute lasts for all of the run. A
process on the last core scrapes it, each format plain and compressed in turn. Meanwhile a task of the loop asks to be woken
every millisecond; how much later than that it is woken, as far as this process had the processor, is how long the loop was
held up.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvloop

from benchmarks.figures import keep
from benchmarks.fleet import AGENTS, fill
from collector.cli.pauses import short_pauses
from collector.serve.exposition import Format
from collector.wire.clock import wall_clock
from tests.inside import Inside, running

SECONDS, APART = 90, 0.25
OPTIONS = {
    "COLLECTOR_CODER_METRICS": "true",
    "COLLECTOR_CSP_NEW_VIOLATIONS": "0",
    "CODER_PROMETHEUS_COLLECT_AGENT_STATS": "true",
}
WAYS = [(format_, encoding) for format_ in Format for encoding in ("identity", "gzip")]


class Scrapes(NamedTuple):
    """Scrapes of one format and encoding."""

    way: str
    bytes: int
    milliseconds: list[float]


class Lateness(NamedTuple):
    """How much later than asked the loop woke a task, in milliseconds, within some time."""

    when: str
    most: float
    p999: float


def main() -> int:
    """Run and print; with --write keep the figures in the page beside this file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scrape", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/README.md")
    parser.add_argument("--scrape", help=argparse.SUPPRESS)  # the other process: the URL
    args = parser.parse_args()
    if args.scrape:
        print(json.dumps(list(_scraped(args.scrape, args.seconds))))
        return 0
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        text = _table(*uvloop.run(_measured(Path(directory), args.seconds)))
    print(text)
    if args.write:
        keep("scrape", text)
    return 0


async def _measured(directory: Path, seconds: int) -> tuple[list[Scrapes], list[Lateness]]:
    moment = wall_clock()
    database = f"sqlite:///{directory / 'collector.db'}"
    async with running(database, directory, lambda: moment, **OPTIONS) as collector:
        with short_pauses():  # as ``collector serve`` does
            return await _filled_and_measured(collector, seconds)


async def _filled_and_measured(collector: Inside, seconds: int) -> tuple[list[Scrapes], list[Lateness]]:
    await fill(collector)
    await _until_made(collector)
    idle = await _lateness("nobody scrapes", asyncio.sleep(seconds))
    command = [sys.executable, "-m", "benchmarks.scrape", "--seconds", str(seconds), "--scrape", collector.prometheus_url]
    process = await asyncio.create_subprocess_exec(
        "taskset", "-c", str(max(os.sched_getaffinity(1))), *command, stdout=subprocess.PIPE
    )
    busy = await _lateness(f"scraped every {APART} s", process.wait())
    assert process.stdout is not None
    results = json.loads(await process.stdout.read())
    return [Scrapes(*result) for result in results], [idle, busy]


async def _until_made(collector: Inside) -> None:
    while True:
        async with collector.client.get(f"{collector.prometheus_url}/deployment") as response:
            text = await response.text()
        if text.count("coderd_agentstats_rx_bytes{") == text.count("coderd_workspace_builds_total{") == AGENTS:
            return
        await asyncio.sleep(0.2)


async def _lateness(when: str, meanwhile: Any) -> Lateness:
    """How late the loop was until ``meanwhile`` has ended."""
    late: list[float] = []
    task = asyncio.ensure_future(meanwhile)
    while not task.done():
        asked, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(0.001)
        # Of a wait in which this process did not run it was not this process that held anything up.
        late.append(min(time.perf_counter() - asked - 0.001, time.process_time() - used) * 1000)
    await task
    return Lateness(when, max(late), statistics.quantiles(late, n=1000, method="inclusive")[-1])


# ── The other process ────────────────────────────────────────────────────────────────────────────────────────────────
def _scraped(url: str, seconds: int) -> Iterator[Scrapes]:
    parts = urlsplit(url)
    found = {way: Scrapes(f"{way[0].name.lower()}, {way[1]}", 0, []) for way in WAYS}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for way in WAYS:
            began = time.perf_counter()
            connection.request("GET", parts.path, headers={"Accept": way[0].value, "Accept-Encoding": way[1]})
            size = len(connection.getresponse().read())
            found[way].milliseconds.append((time.perf_counter() - began) * 1000)
            found[way] = found[way]._replace(bytes=size)
            time.sleep(APART)
    yield from found.values()


def _table(scrapes: list[Scrapes], lateness: list[Lateness]) -> str:
    lines = ["| scrape | MB | median | 95 % within | longest |", "|---|---|---|---|---|"]
    for way, size, taken in scrapes:
        p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
        lines.append(f"| {way} | {size / 1e6:.1f} | {statistics.median(taken):.0f} ms | {p95:.0f} ms | {max(taken):.0f} ms |")
    lines += ["", "| event loop | held up at most | 999 of 1,000 times at most |", "|---|---|---|"]
    lines += [f"| {when} | {most:.1f} ms | {p999:.1f} ms |" for when, most, p999 in lateness]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
