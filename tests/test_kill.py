"""A power cut, again and again: what was acknowledged is there, and nothing is there that was not sent."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.service import Service, run_service

KILLS, CLIENTS, BETWEEN, DISTINCT = 5, 32, 300, 20
VIOLATIONS = 18  # the four reports about extensions are two violations: what is blocked is their scheme, by two directives


@dataclass
class Tally:
    """What the clients know; ``up`` is set while a service is there to post to."""

    up: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    acknowledged: int = 0
    refused: list[int] = field(default_factory=list)
    wanted: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def more(self, count: int) -> None:
        """Return as soon as ``count`` further reports have been acknowledged."""
        self.reached.clear()
        self.wanted = self.acknowledged + count
        async with asyncio.timeout(60):
            await self.reached.wait()

    def acknowledge(self) -> None:
        self.acknowledged += 1
        if self.acknowledged >= self.wanted:
            self.reached.set()


def report(number: int) -> bytes:
    kind = number % DISTINCT
    blocked = f"chrome-extension://abcdef{kind}/a.js" if kind % 5 == 0 else f"https://cdn{kind}.example/lib.js"
    fields = {
        "document-uri": "https://shop.example/cart",
        "effective-directive": "script-src-elem" if kind % 2 else "img-src",
        "blocked-uri": blocked,
        "disposition": ("enforce", "report")[number % 2],
    }
    return json.dumps({"csp-report": fields}).encode()


async def visit(client: aiohttp.ClientSession, path: str, tally: Tally, first: int) -> None:
    number = first
    while not tally.ended:
        await tally.up.wait()
        number += 1
        tally.sent += 1
        try:
            async with client.post(path, data=report(number)) as response:
                if response.status == 200:
                    tally.acknowledge()
                else:
                    tally.refused.append(response.status)
        except (aiohttp.ClientError, ConnectionError):
            continue  # cut off: it may have been stored or not


async def cut_and_restart(service: Service, tally: Tally) -> None:
    service.process.kill()
    tally.up.clear()
    await asyncio.to_thread(service.process.wait, 30)
    await asyncio.to_thread(service.start)
    tally.up.set()


async def counted(client: aiohttp.ClientSession, token: str) -> tuple[int, int]:
    """How many violations there are and the sum of their counts, over all pages."""
    after, found, total = "", 0, 0
    while True:
        query = {"noise": "include", "limit": "7", "after": after}
        async with client.get("/api/v2/csp/violations", params=query, headers={"Coder-Session-Token": token}) as response:
            page = await response.json()
        found += len(page["results"])
        total += sum(violation["count"] for violation in page["results"])
        after = page["next"]
        if after is None:
            return found, total


def exported(metrics: str) -> float:
    """The sum over the labels of the exporter's counter of reports."""
    lines = [line for line in metrics.splitlines() if line.startswith("collector_csp_reports_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.slow
async def test_five_power_cuts_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """After five kill -9 under 32 clients the counts lie between acknowledged and sent, and the exporter says the same."""
    with run_service(tmp_path) as service:
        tally = Tally()
        path = f"/csp/reports?key={service.browser_key}"
        async with aiohttp.ClientSession(service.url) as client:
            visits = [asyncio.create_task(visit(client, path, tally, 1_000 * n)) for n in range(CLIENTS)]
            tally.up.set()
            for _ in range(KILLS):
                await tally.more(BETWEEN)
                await cut_and_restart(service, tally)
            await tally.more(BETWEEN)
            tally.ended = True
            await asyncio.gather(*visits)
            found, total = await counted(client, service.admin_token)

        assert tally.refused == []
        assert tally.sent > tally.acknowledged, "no cut met a report under way"
        assert tally.sent - tally.acknowledged <= KILLS * CLIENTS
        assert found == VIOLATIONS
        assert tally.acknowledged <= total <= tally.sent
        assert exported(await asyncio.to_thread(service.counted)) == total
