"""/metrics while the store fails or hangs: alerts about that are made of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from collector.jobs import TURNS
from tests.inside import Inside, running
from tests.postgres import start_postgres
from tests.serve.state import ready, without_snapshots
from tests.stalling import StallingStore
from tests.test_journey import REPORT

COUNTED = "collector_csp_reports_total"
AGE = "collector_metrics_age_seconds"


def stalling(inside: Inside) -> StallingStore:
    """The store that snapshots are read from, from now on."""
    turns = inside.app[TURNS]
    turns._store = store = StallingStore(turns._store)
    return store


async def scraped(inside: Inside, half: str = "") -> dict[str, float]:
    """The samples of a scrape, which must succeed."""
    async with inside.client.get(inside.prometheus_url + half) as response:
        assert response.status == 200
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def counters(samples: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in samples.items() if name.startswith(COUNTED)}


async def test_what_was_read_last_is_told_while_the_store_fails(tmp_path: Path) -> None:
    """All of it stays where it was, with its age, and what the process says of itself is of now."""
    moment = 1_768_384_800_000
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, lambda: moment) as inside:
        await ready(inside)
        await inside.post(inside.csp_path, json.dumps(REPORT))
        await inside.roll_up()
        before = await scraped(inside, "/deployment")
        assert (len(counters(before)), before[AGE]) == (1, 0)

        store = stalling(inside)
        store.down = True
        moment += 60_000
        await inside.post(inside.csp_path, json.dumps(REPORT))
        with pytest.raises(OperationalError):
            await inside.roll_up()
        assert await scraped(inside, "/deployment") == before | {AGE: 60}
        assert (await scraped(inside))["collector_queue_reports"] == 0

        store.down = False
        await inside.roll_up()
        after = await scraped(inside)
        assert list(counters(after).values()) == [2]
        assert after[AGE] == 0


async def test_before_the_first_snapshot_nothing_is_told_of_the_deployments(migrated_url: str, tmp_path: Path) -> None:
    """No counter, which would fall to 0 and rise again, and no age; all that the process says of itself is there."""
    async with without_snapshots(migrated_url, tmp_path) as inside:
        found = await scraped(inside)
        assert await scraped(inside, "/deployment") == {}
    assert counters(found) == {}
    assert AGE not in found
    assert {"collector_queue_reports", "collector_leader"} <= set(found)


async def test_nobody_waits_for_a_store_that_hangs(inside: Inside) -> None:
    """A scrape reads nothing from it."""
    await ready(inside)
    await inside.post(inside.csp_path, json.dumps(REPORT))
    await inside.roll_up()
    before = counters(await scraped(inside))
    store = stalling(inside)
    store.works.clear()
    await inside.post(inside.csp_path, json.dumps(REPORT))
    reading = asyncio.create_task(inside.roll_up())
    for _ in range(2):
        assert counters(await scraped(inside)) == before
    assert not reading.done()

    store.works.set()
    await reading
    assert list(counters(await scraped(inside)).values()) == [2]


@pytest.mark.slow
async def test_postgresql_may_be_stopped(tmp_path: Path) -> None:
    """A real one, in the middle of it: the scrape succeeds, says what was read last, and is of now when it is back."""
    with start_postgres(tmp_path / "postgres") as server:
        async with running(server.fresh_url(), tmp_path, CODER_PG_CONN_MAX_OPEN="5") as inside:
            await inside.post(inside.csp_path, json.dumps(REPORT))
            await inside.roll_up()
            before = counters(await scraped(inside))
            assert len(before) == 1
            server.stop()
            for half in ("", "/deployment"):
                assert counters(await scraped(inside, half)) == before
            assert "collector_queue_reports" in await scraped(inside, "/replica")
            server.start()
            while (await inside.post(inside.csp_path, json.dumps(REPORT)))[0] != 200:
                pass
            await inside.roll_up()
            assert sum(counters(await scraped(inside)).values()) >= 2
