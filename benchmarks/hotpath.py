"""``python -m benchmarks.hotpath``: what a report costs in each stage of intake, without HTTP, in one process and thread.

The bodies are those of ``wrk/``: 200 different reports of 72 violations, singly and in arrays, whose ages are never the same
twice. ``read`` makes records of bodies, ``store`` writes a batch of 64 bodies to SQLite. What counts is processor time: it
tells changes of a few percent apart, also on a machine that others use, when the least of several rounds is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import random
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, insert

from collector.normalize.remembered import Remembered
from collector.persist.csp import CspRows
from collector.persist.engine import SqliteStore
from collector.persist.migrate import upgrade
from collector.persist.tables import projects
from collector.wire.records import CspIntake

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
POLICY = "default-src 'none'; script-src 'self' 'nonce-abcdefgh'; style-src 'self'; img-src 'self'; report-uri /csp/reports"
DIRECTIVES = ("script-src-elem", "img-src", "style-src-elem", "connect-src", "font-src")
VARIANTS, BATCH, BATCHES, ROUNDS = 200, 64, 40, 5

Profiled = AbstractContextManager[object]
NOT: Profiled = nullcontext()


class Brought(NamedTuple):
    """Bodies, each with as many reports."""

    words: str
    reports: int
    bodies: list[bytes]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hotpath", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--profile", choices=("read", "store"), help="show where a stage spends its time with arrays of 50")
    args = parser.parse_args()
    ways = [Brought("single", 1, _singles()), *(Brought(f"arrays of {n}", n, _arrays(n)) for n in (10, 50))]
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_measured(Path(directory) / "collector.db", ways, args.rounds))
        if args.profile:
            stages = {args.profile: profile}
            asyncio.run(_measured(Path(directory) / "profiled.db", ways[-1:], 1, **stages))
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    return 0


async def _measured(path: Path, ways: list[Brought], rounds: int, *, read: Profiled = NOT, store: Profiled = NOT) -> None:
    await upgrade(f"sqlite:///{path}")
    kept = SqliteStore(path)
    await kept.transact(lambda connection: connection.execute(insert(projects).values(id=1, name="default", created_at=0)))
    rows, remembered = CspRows(), Remembered()

    def work(connection: Connection, batch: list[CspIntake]) -> None:
        with store:
            rows.store(connection, batch)

    for way in ways:
        took: list[tuple[float, float]] = []
        for _ in range(rounds + 1):
            began = time.process_time()
            with read:
                batches = _read(way, remembered)
            between = time.process_time()
            for batch in batches:
                await kept.transact(partial(work, batch=batch))
                rows.ended(whole=True)
            took.append((between - began, time.process_time() - between))
        # The first round finds nothing known.
        least = [min(stage) / (BATCH * BATCHES * way.reports) * 1e6 for stage in zip(*took[1:], strict=True)]
        print(f"{way.words}: read {least[0]:.2f} µs, store {least[1]:.2f} µs a report")
    await kept.close()


def _read(way: Brought, remembered: Remembered) -> list[list[CspIntake]]:
    """What intake makes of the bodies, in batches."""
    now = time.time_ns() // 1_000_000
    intakes = []
    for number in range(BATCH * BATCHES):
        body = way.bodies[number % len(way.bodies)]
        found = remembered.arrived(body, user_agent=AGENT, project="default", now=now)
        brought = found.reports, found.fingerprints, found.drops, found.others
        intakes.append(CspIntake(1, "d", now, *brought, client=number % 7, ages=found.ages))
    return [intakes[start : start + BATCH] for start in range(0, len(intakes), BATCH)]


def _singles() -> list[bytes]:
    def body(number: int) -> bytes:
        page, directive, disposition, blocked = _fields(number)
        report = {
            "document-uri": page,
            "referrer": "",
            "violated-directive": directive,
            "effective-directive": directive,
            "original-policy": POLICY,
            "disposition": disposition,
            "blocked-uri": blocked,
            "status-code": 200,
            "script-sample": "",
            "source-file": page,
            "line-number": number,
            "column-number": 9,
        }
        return _json({"csp-report": report})

    return [body(number) for number in range(1, VARIANTS + 1)]


def _arrays(size: int) -> list[bytes]:
    ages = random.Random(0)

    def report(number: int) -> dict[str, object]:
        page, directive, disposition, blocked = _fields(number)
        body = {
            "blockedURL": blocked,
            "columnNumber": 9,
            "disposition": disposition,
            "documentURL": page,
            "effectiveDirective": directive,
            "lineNumber": number,
            "originalPolicy": POLICY,
            "referrer": "",
            "sample": "",
            "sourceFile": page,
            "statusCode": 200,
        }
        age = ages.randrange(60_000)
        return {"age": age, "body": body, "type": "csp-violation", "url": page, "user_agent": AGENT}

    count = BATCH * BATCHES
    return [_json([report((first + k) % VARIANTS + 1) for k in range(size)]) for first in range(count)]


def _fields(number: int) -> tuple[str, str, str, str]:
    """The page, the directive, the disposition and what was blocked, as in ``wrk/common.lua``."""
    page = f"https://site{number % 10}.example/area/{number}/page"
    blocked = f"https://cdn{number % 50}.example/assets/bundle-{number}.js?v={number}" if number % 9 else "inline"
    return page, DIRECTIVES[number % 5], "enforce" if number % 3 else "report", blocked


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    sys.exit(main())
