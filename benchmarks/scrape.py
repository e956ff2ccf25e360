"""What a scrape of /metrics costs when nothing has changed since the last one: with 1,000, 10,000 and 100,000 series.

The collector runs in this process on the first core, under uvloop; a process on the last core scrapes it, each format plain
and compressed. What counts is the processor time of this process a scrape. The limit is text written by hand: the same number
of series, of which the lines stand ready up to their values, and all values are new. For the largest there is also how long
the event loop is held up, with a snapshot and all series made anew every two seconds: how much later than asked a task is
woken, as far as this process had the processor.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from benchmarks.asking import asked
from benchmarks.clocks import first_core, processor_time, quiet
from benchmarks.figures import Figures, Plan, table
from benchmarks.fleet import Fleet, fill
from collector.cli.pauses import short_pauses
from collector.serve.exposition import Format
from collector.wire.clock import wall_clock
from tests.inside import Inside, running

FLEETS = (Fleet(60, 60, 1), Fleet(800, 800, 3), Fleet(8_300, 4_000, 40))
FEW = (Fleet(60, 60, 1),)
OPTIONS = {
    "COLLECTOR_CODER_METRICS": "true",
    "COLLECTOR_CSP_NEW_VIOLATIONS": "0",
    "CODER_PROMETHEUS_COLLECT_AGENT_STATS": "true",
    "CODER_AGENT_STATS_REFRESH_INTERVAL": "1h",  # between two scrapes nothing is made anew
}
WAYS = [(format_, encoding) for format_ in Format for encoding in ("identity", "gzip")]
SCRAPES, MADE_ANEW_S = 100, 2.0


class Scrapes(NamedTuple):
    """Scrapes of one size, format and encoding."""

    series: int
    way: str
    bytes: int
    cpu_ms: list[float]  # of a scrape, by round
    limit_ms: list[float]
    taken_ms: list[float]


class Lateness(NamedTuple):
    """How much later than asked the loop woke a task, in milliseconds, within some time."""

    when: str
    most: float
    p999: float


def measure(plan: Plan) -> Figures:
    """Every way at every size, and how late the loop is."""
    quiet()
    first_core()
    found: list[Scrapes] = []
    late: list[Lateness] = []
    for fleet in FEW if plan.small else FLEETS:
        with tempfile.TemporaryDirectory() as directory:
            scrapes, late = uvloop.run(_of_fleet(fleet, Path(directory), plan))
            found += scrapes
    rows = [
        (
            f"{one.series:,}",
            one.way,
            f"{one.bytes / 1e6:.2f}",
            f"{statistics.median(one.cpu_ms):.2f} ms",
            f"{statistics.median(one.limit_ms):.2f} ms",
            f"{statistics.median(one.cpu_ms) / statistics.median(one.limit_ms):.2f}",
            f"{statistics.median(one.taken_ms):.1f} ms",
        )
        for one in found
    ]
    text = table(("series", "scrape", "MB", "CPU", "text by hand, CPU", "ratio", "taken, median"), rows)
    held = table(
        ("event loop", "held up at most", "999 of 1,000 times at most"),
        [(one.when, f"{one.most:.1f} ms", f"{one.p999:.1f} ms") for one in late],
    )
    data = {"scrapes": [one._asdict() for one in found], "lateness": [one._asdict() for one in late]}
    return Figures(f"{text}\n\n{held}", data)


async def _of_fleet(fleet: Fleet, directory: Path, plan: Plan) -> tuple[list[Scrapes], list[Lateness]]:
    moment = wall_clock()  # it stands still: the agents' last minute lasts for all of the run
    database = f"sqlite:///{directory / 'collector.db'}"
    async with running(database, directory, lambda: moment, **OPTIONS) as collector:
        with short_pauses():  # as ``collector serve`` does
            await fill(collector, fleet)
            await collector.roll_up()
            scrapes = await _scraped(collector, plan.rounds)
            late = [
                await _lateness("nobody scrapes", _made_anew(collector, plan.seconds, asyncio.sleep(0))),
                await _lateness("scraped all the time", _made_anew(collector, plan.seconds, _scraping(collector))),
            ]
    return scrapes, late


async def _scraped(collector: Inside, rounds: int) -> list[Scrapes]:
    async with collector.client.get(collector.prometheus_url) as response:
        heads = [line.rpartition(" ")[0] for line in (await response.text()).splitlines() if not line.startswith("#")]
    names = [f"{format_.name.lower()}, {encoding}" for format_, encoding in WAYS]
    found = {name: Scrapes(len(heads), name, 0, [], [], []) for name in names}
    for number in range(rounds):
        for name, (format_, encoding) in list(zip(names, WAYS, strict=True))[:: 1 if number % 2 else -1]:
            before = time.process_time()
            headers = {"Accept": format_.value, "Accept-Encoding": encoding}
            (one,) = await asked(collector.prometheus_url, [""], headers, rounds=SCRAPES)
            used = (time.process_time() - before) / SCRAPES * 1000
            limit = processor_time(lambda: _by_hand(heads, number)) * 1000  # noqa: B023 — it is called at once
            found[name] = found[name]._replace(bytes=one.bytes)
            found[name].cpu_ms.append(used)
            found[name].limit_ms.append(limit)
            found[name].taken_ms.extend(one.milliseconds)
    return list(found.values())


def _by_hand(heads: list[str], number: int) -> bytes:
    return "".join([f"{head} {value + number}\n" for value, head in enumerate(heads)]).encode()


async def _made_anew(collector: Inside, seconds: int, meanwhile: Awaitable[Any]) -> None:
    """``meanwhile``, while everything is made anew, for so many seconds at least."""
    task = asyncio.ensure_future(meanwhile)
    end = time.monotonic() + 4 * seconds
    while time.monotonic() < end or not task.done():
        await collector.roll_up()
        await asyncio.sleep(MADE_ANEW_S)


async def _scraping(collector: Inside) -> None:
    headers = {"Accept": Format.TEXT.value, "Accept-Encoding": "gzip"}
    await asked(collector.prometheus_url, [""], headers, rounds=20, apart=0.25)


async def _lateness(when: str, meanwhile: Awaitable[None]) -> Lateness:
    """How late the loop was until ``meanwhile`` has ended."""
    late: list[float] = []
    task = asyncio.ensure_future(meanwhile)
    while not task.done():
        begun, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(0.001)
        # Of a wait in which this process did not run it was not this process that held anything up.
        late.append(min(time.perf_counter() - begun - 0.001, time.process_time() - used) * 1000)
    await task
    return Lateness(when, max(late), statistics.quantiles(late, n=1000, method="inclusive")[-1])
