"""The report that the service posts to itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.http.appkeys import WRITER
from collector.jobs import CANARY
from collector.outbound.canary import EVERY_MS
from tests.inside import Inside, running

NOW = 1_768_384_800_000
AT = "collector_canary_last_success_timestamp_seconds"
COUNTED = 'collector_other_reports_total{project="canary",type="test"}'


class Clock:
    """Milliseconds since the epoch, moved by the test."""

    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def own(migrated_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Inside]:
    """A collector with its canary."""
    async with running(migrated_url, tmp_path, clock, COLLECTOR_CANARY="true") as collector:
        yield collector


async def test_it_is_committed_and_told(own: Inside, clock: Clock) -> None:
    """Every minute a report comes through the door, is counted for its own project, and the metric says when."""
    bird = own.app[CANARY]
    await first_post(own)
    assert (await own.metrics())[AT] == NOW / 1000

    clock.now += EVERY_MS
    await bird.run()
    await bird.run()  # it is not time again

    metrics = await own.counted()
    assert metrics[AT] == (NOW + EVERY_MS) / 1000
    assert metrics[COUNTED] == 2
    assert (await own.get("/api/v2/csp/violations?noise=include"))["count"] == 0


async def test_nobody_is_asked_to_report_to_it(own: Inside) -> None:
    """No page offers the canary's project: neither to set a site up with its key, nor to look for its violations."""
    await first_post(own)
    for path in ("/setup", "/csp", "/csp/policy", "/csp/ignore-rules"):
        async with own.client.get(path, headers=own.owner) as response:
            page = await response.text()
            assert response.status == 200
            assert "canary" not in page, path


async def test_a_refusal_leaves_the_metric_where_it_was(own: Inside, clock: Clock) -> None:
    """While the service answers 503 the metric grows old, and the next minute is tried again."""
    await first_post(own)
    clock.now += EVERY_MS
    own.app[WRITER].refusing = True
    await own.app[CANARY].run()
    assert (await own.metrics())[AT] == NOW / 1000

    clock.now += EVERY_MS
    own.app[WRITER].refusing = False
    await own.app[CANARY].run()
    assert (await own.metrics())[AT] == (NOW + 2 * EVERY_MS) / 1000


async def test_it_can_be_turned_off(inside: Inside) -> None:
    """Without the canary there is no metric of it, and no project."""
    assert AT not in await inside.metrics()
    assert "canary" not in json.dumps(await inside.get("/api/v2/projects"))


async def first_post(own: Inside) -> None:
    """Return when the schedule has posted the first one by itself, within a second."""
    async with asyncio.timeout(60):
        while not (await own.metrics())[AT]:
            pass
