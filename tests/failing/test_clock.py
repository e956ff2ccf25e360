"""A clock that jumps: nothing is counted twice or lost, and what is asked for now is of now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.http.appkeys import NOW
from tests.failing.sent import AGENT, brought, counted, failing
from tests.ingest.test_telemetry import refreshed
from tests.inside import Inside, running

HOUR_MS = 3_600_000
NOON = 1_793_966_400_000  # 2026-11-06T12:00:00Z
WINTER_MS = 1_792_890_000_000  # 2026-10-25T01:00:00Z, when Berlin's clocks go from three to two


class Clock:
    """Milliseconds since the epoch, as somebody sets them."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


async def everything(collector: Inside) -> int:
    """One CSP report and one agent's, then a snapshot; the bytes of the last 15 minutes by it."""
    assert (await brought(collector))[0] == 200
    assert (await collector.post("/api/v2/ingest/agent-stats", json.dumps([AGENT]), **collector.feed))[0] == 200
    await refreshed(collector)
    stats = await collector.get("/api/v2/deployment/stats")
    now = datetime.fromtimestamp(collector.app[NOW]() / 1000, UTC)
    assert datetime.fromisoformat(stats["collected_at"]) == now
    return int(stats["workspaces"]["rx_bytes"])


@pytest.mark.parametrize(("step", "used"), [(HOUR_MS, [10, 10, 30]), (-HOUR_MS, [10, 20, 20])])
async def test_an_hour_forth_or_back(migrated_url: str, tmp_path: Path, step: int, used: list[int]) -> None:
    """Counts stay exact, and snapshots are of the new time; what bears a later time than that counts as just received."""
    clock = Clock(NOON)
    async with running(migrated_url, tmp_path, clock) as collector:
        found = [await everything(collector)]
        for moment in (NOON + step, NOON):
            clock.now = moment
            found.append(await everything(collector))
        assert found == used
        assert await counted(collector) == 3
        assert await failing(collector) == {}


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's time zone, which has an hour twice on the last Sunday of October."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
async def test_an_hour_that_comes_twice(migrated_url: str, tmp_path: Path) -> None:
    """Where the clocks are put back for winter the history has an hour more, and no hour is counted twice."""
    assert time.localtime(WINTER_MS / 1000 - 1).tm_isdst
    assert not time.localtime(WINTER_MS / 1000).tm_isdst
    clock = Clock(WINTER_MS - HOUR_MS)
    async with running(migrated_url, tmp_path, clock) as collector:
        for _ in range(3):
            await everything(collector)
            clock.now += HOUR_MS
        query = "since=2026-10-25T00:00:00Z&until=2026-10-25T03:00:00Z&step=1h"
        history = await collector.get(f"/api/v2/deployment/stats/history?{query}")
        found = {point["at"]: point["samples"] for point in history["points"] if point["samples"]}

    assert len(found) == 3
    assert set(found.values()) == {1}
