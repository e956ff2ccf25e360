"""Ten thousand connections that say nothing, and browsers among them."""

from __future__ import annotations

import asyncio
import resource
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.service import Service, run_service
from tests.test_service import address

MANY = 10_000
SPARE = 500  # files that either process has open besides
REPORTS = 300
KIB_EACH = 16  # at most, of memory; a task, a parser and two buffers
PAYLOADS = sorted((Path(__file__).parents[1] / "payloads" / "csp").glob("*-legacy-*.body"))


@pytest.fixture
def room() -> Iterator[int]:
    """How many connections this machine lets either process have: 10,000, or what its limit of open files gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + SPARE if hard == resource.RLIM_INFINITY else min(MANY + SPARE, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield wanted - SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory_kib(service: Service) -> int:
    """What the process has in memory now."""
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


async def reported(service: Service) -> list[float]:
    """How long each of some hundred reports of real browsers took to be stored, each over a connection of its own."""
    took = []
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(service.url, connector=connector) as client:
        for number in range(REPORTS):
            body, began = PAYLOADS[number % len(PAYLOADS)].read_bytes(), time.perf_counter()
            async with client.post(f"/csp/reports?key={service.browser_key}", data=body) as response:
                assert response.status == 200
            took.append(time.perf_counter() - began)
    return took


def open_files(service: Service) -> int:
    """How many files and sockets the process has open."""
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


async def accepted(service: Service, number: int) -> None:
    """Return once the process has that many connections: no more wait to be accepted than may."""
    async with asyncio.timeout(60):
        while open_files(service) < number:  # noqa: ASYNC110 — it is another process: it can only be looked at
            await asyncio.sleep(0)


@pytest.mark.slow
async def test_ten_thousand_idle_connections(tmp_path: Path, room: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each costs some KiB, and what browsers report meanwhile is stored and answered as before."""
    with run_service(tmp_path, CODER_DANGEROUS_DISABLE_RATE_LIMITS="true") as service:
        quiet, before = await reported(service), memory_kib(service)
        idle: list[socket.socket] = []
        try:
            for number in range(room):
                idle.append(socket.create_connection(address(service), 10))
                if number % 500 == 0:
                    await accepted(service, number)
            await accepted(service, room)
            busy = await reported(service)
            each = (memory_kib(service) - before) / room
        finally:
            for connection in idle:
                connection.close()
        stored = service.total("collector_csp_reports_total")
    took, slowest, usual = statistics.median(busy) * 1000, max(busy) * 1000, statistics.median(quiet) * 1000
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{room:,} idle connections, {each:.1f} KiB each;"
            f" a report in {took:.1f} ms, at most {slowest:.0f}; without them {usual:.1f}"
        )
    assert each < KIB_EACH
    assert slowest < 5_000
    assert stored == 2 * REPORTS
