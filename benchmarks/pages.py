"""How long the pages and the queries behind them take with 10,000 agents and 5,000 violations.

The collector runs in this process on the first core, under uvloop; a process on the last core asks for each path in turn, as
an owner who has signed in, and reads the answer to its end. The limit is a bare handler of this process that answers as many
bytes. The processor time is that of this process, by itself and of the limit.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import uvloop
from aiohttp import web

from benchmarks.asking import asked
from benchmarks.clocks import first_core, quiet
from benchmarks.figures import Figures, Plan, table
from benchmarks.fleet import Fleet, fill
from collector.cli.pauses import short_pauses
from collector.http.auth import TOKEN_NAME
from tests.inside import Inside, running
from tests.postgres import free_port

TIMES = 5  # in a round
PATHS = (
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


class Page(NamedTuple):
    """One path, asked for in every round."""

    path: str
    bytes: int
    taken_ms: list[float]
    cpu_ms: list[float]  # of one answer, by round
    limit_ms: list[float]


def measure(plan: Plan) -> Figures:
    """Every path."""
    quiet()
    first_core()
    with tempfile.TemporaryDirectory() as directory:
        pages = uvloop.run(_measured(Path(directory), plan))
    rows = [
        (
            one.path,
            f"{one.bytes / 1e3:.0f}",
            f"{statistics.median(one.taken_ms):.0f} ms",
            f"{statistics.quantiles(one.taken_ms, n=20, method='inclusive')[-1]:.0f} ms",
            f"{statistics.median(one.cpu_ms):.1f} ms",
            f"{statistics.median(one.limit_ms):.1f} ms",
            f"{statistics.median(one.cpu_ms) / statistics.median(one.limit_ms):.0f}",
        )
        for one in pages
    ]
    columns = ("path", "kB", "median", "95 % within", "CPU", "as many bytes, CPU", "ratio")
    return Figures(table(columns, rows), [one._asdict() for one in pages])


async def _measured(directory: Path, plan: Plan) -> list[Page]:
    options = {"COLLECTOR_CSP_NEW_VIOLATIONS": "0", "CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true"}
    async with running(f"sqlite:///{directory / 'collector.db'}", directory, **options) as collector, _bytes() as limit:
        with short_pauses():  # as ``collector serve`` does
            await fill(collector, Fleet(300, 300, 3) if plan.small else Fleet())
            await collector.roll_up()
            one = (await collector.get("/api/v2/csp/violations?limit=1"))["results"][0]["id"]
            pages = [Page(path, 0, [], [], []) for path in PATHS]
            for _ in range(plan.rounds):
                pages = [await _asked(collector, limit, page, one) for page in pages]
    return pages


async def _asked(collector: Inside, limit: str, page: Page, violation: str) -> Page:
    headers = {"Cookie": f"{TOKEN_NAME}={quote(collector.secrets.token)}"}
    before = time.process_time()
    (answer,) = await asked(collector.url, [page.path.format(id=violation)], headers, rounds=TIMES)
    between = time.process_time()
    await asked(limit, [f"/{answer.bytes}"], {}, rounds=TIMES)
    page.cpu_ms.append((between - before) / TIMES * 1000)
    page.limit_ms.append((time.process_time() - between) / TIMES * 1000)
    page.taken_ms.extend(answer.milliseconds)
    return page._replace(bytes=answer.bytes)


@asynccontextmanager
async def _bytes() -> AsyncIterator[str]:
    """The limit: ``/N`` is answered with so many bytes."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bytes(int(request.match_info["size"])))

    app = web.Application()
    app.router.add_get("/{size}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()
