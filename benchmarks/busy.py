"""How much later intake answers while the collector has other work: a rollup, a purge and large scrapes, all at once.

Arrays of one come over 16 connections at a rate that leaves room, from a process on the last core; the collector has the
first one. A request that waits is late by what it should have been sent before. Quiet and busy phases alternate. In a busy
one the collector makes snapshots of 300,000 agent reports without a pause, purges as many that have expired, and is scraped
for 100,000 series. What counts is the ratio within a round.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from benchmarks import stored
from benchmarks.asking import asked
from benchmarks.clocks import first_core, quiet
from benchmarks.figures import Figures, Plan, spread, table
from benchmarks.fleet import Fleet, fill
from benchmarks.scrape import OPTIONS
from benchmarks.sending import command, told_by
from collector.cli.pauses import short_pauses
from collector.http.appkeys import STORE, WRITER
from collector.rollup.retention import Retentions, purge
from collector.rollup.snapshot import WINDOW_MS
from collector.wire.clock import wall_clock
from tests.inside import Inside, running

DAY_MS = 86_400_000
RATE, PHASE_S = 300, 8  # requests a second, and for how long


class Phase(NamedTuple):
    """Answers' times within one phase, in ms."""

    p50: float
    p99: float
    longest: float


def measure(plan: Plan) -> Figures:
    """Quiet and busy phases, and the ratios of their percentiles."""
    quiet()
    first_core()
    with tempfile.TemporaryDirectory() as directory:
        found = uvloop.run(_measured(Path(directory), plan))
    ratios = [busy.p99 / still.p99 for still, busy in zip(found["quiet"], found["busy"], strict=True)]
    rows = [
        (
            name,
            *(f"{statistics.median(getattr(one, each) for one in phases):.1f} ms" for each in Phase._fields),
            spread(ratios) if name == "busy" else "1",
        )
        for name, phases in found.items()
    ]
    text = table(("collector", "median", "p99", "longest", "p99 to quiet, median (least to most)"), rows)
    return Figures(text, {name: [one._asdict() for one in phases] for name, phases in found.items()} | {"ratios": ratios})


async def _measured(directory: Path, plan: Plan) -> dict[str, list[Phase]]:
    moment = wall_clock()
    database = f"sqlite:///{directory / 'collector.db'}"
    async with running(database, directory, lambda: moment, **OPTIONS, COLLECTOR_INGEST_RATE_LIMIT="0") as collector:
        with short_pauses():  # as ``collector serve`` does
            fleet = Fleet(300, 100, 1) if plan.small else Fleet(8_300, 4_000, 40)
            await fill(collector, fleet)
            await stored.agent_reports(collector.app[STORE], since=moment - WINDOW_MS, until=moment, apart=_apart(fleet))
            await collector.roll_up()
            await _phase(collector, plan)
            found: dict[str, list[Phase]] = {"quiet": [], "busy": []}
            for number in range(plan.rounds):
                await stored.agent_reports(
                    collector.app[STORE], since=moment - 3 * DAY_MS, until=moment - 3 * DAY_MS + WINDOW_MS, apart=_apart(fleet)
                )
                found["quiet"].append(await _phase(collector, plan))
                found["busy"].append(await _phase(collector, plan, _snapshots, _scrapes, partial(_purged, now=moment)))
                print(f"round {number + 1}: {found['quiet'][-1]} {found['busy'][-1]}", file=sys.stderr, flush=True)
    return found


def _apart(fleet: Fleet) -> int:
    """So that there are 300,000 in a window, or as many for each of a smaller fleet."""
    return WINDOW_MS // 36 if fleet.agents > 300 else WINDOW_MS // 30


async def _phase(collector: Inside, plan: Plan, *works: Callable[[Inside], Awaitable[None]]) -> Phase:
    """How long answers take while each of ``works`` is done again and again."""
    seconds = 2 if plan.small else PHASE_S
    url = f"{collector.url}{collector.csp_path}"
    sender = await asyncio.create_subprocess_exec(*command(url, RATE * seconds, 1, rate=RATE), stdout=asyncio.subprocess.PIPE)
    done = asyncio.ensure_future(sender.communicate())
    tasks = [asyncio.create_task(_again_and_again(work, collector, done)) for work in works]
    printed, _ = await done
    await asyncio.gather(*tasks)
    cuts = statistics.quantiles(taken := told_by(printed).milliseconds, n=100, method="inclusive")
    return Phase(cuts[49], cuts[98], max(taken))


async def _again_and_again(work: Callable[[Inside], Awaitable[None]], collector: Inside, done: asyncio.Future[Any]) -> None:
    while not done.done():
        await work(collector)


async def _snapshots(collector: Inside) -> None:
    await collector.roll_up()


async def _scrapes(collector: Inside) -> None:
    await asked(collector.prometheus_url, [""], {"Accept-Encoding": "gzip"}, rounds=8, apart=0.25)


async def _purged(collector: Inside, now: int) -> None:
    await purge(collector.app[WRITER].write, Retentions(), now=now)
    await asyncio.sleep(0.5)
