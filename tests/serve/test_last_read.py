"""/metrics while the store fails or hangs: alerts about that are made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.serve.exporter import EXPORTER
from tests.inside import Inside, running
from tests.postgres import start_postgres
from tests.serve.state import ready
from tests.stalling import StallingStore
from tests.test_journey import REPORT

COUNTED = "collector_csp_reports_total"


def stalling(inside: Inside, *, wait_s: float | None = None) -> StallingStore:
    """The store of the exporter alone, from now on."""
    last = inside.app[EXPORTER].last_read
    last._store = store = StallingStore(last._store)
    last._wait_s = last._wait_s if wait_s is None else wait_s
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
    """The counters stay where they were, with their age, and what the process says of itself is of now."""
    moment = 1_768_384_800_000
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, lambda: moment) as inside:
        await inside.post(inside.csp_path, json.dumps(REPORT))
        before = await scraped(inside)
        assert (len(counters(before)), before["collector_metrics_age_seconds"]) == (1, 0)

        store = stalling(inside)
        store.down = True
        moment += 60_000
        for half in ("", "/deployment"):
            found = await scraped(inside, half)
            assert counters(found) == counters(before)
            assert found["collector_metrics_age_seconds"] == 60
        assert (await scraped(inside))["collector_queue_reports"] == 0

        store.down = False
        await inside.post(inside.csp_path, json.dumps(REPORT))
        after = await scraped(inside)
        assert list(counters(after).values()) == [2]
        assert after["collector_metrics_age_seconds"] == 0


async def test_a_store_that_was_never_read_takes_no_metric_of_the_process_away(inside: Inside) -> None:
    """There is no counter yet, which would fall to 0 and rise again; all that memory holds is there."""
    await ready(inside)
    stalling(inside).down = True
    found = await scraped(inside)
    assert counters(found) == {}
    assert "collector_metrics_age_seconds" not in found
    assert {"collector_queue_reports", "collector_leader", "collector_snapshot_timestamp_seconds"} <= set(found)
    assert "collector_store_bytes" in await scraped(inside, "/deployment")


async def test_nobody_waits_for_a_store_that_hangs(inside: Inside) -> None:
    """What was read last comes within the time; one connection hangs however many scrape, and when it works all is new."""
    await inside.post(inside.csp_path, json.dumps(REPORT))
    before = counters(await scraped(inside))
    store = stalling(inside, wait_s=0)
    store.works.clear()
    await inside.post(inside.csp_path, json.dumps(REPORT))
    assert counters(await scraped(inside)) == before
    reading = inside.app[EXPORTER].last_read._reading
    assert counters(await scraped(inside)) == before
    assert inside.app[EXPORTER].last_read._reading is reading is not None

    store.works.set()
    await reading
    inside.app[EXPORTER].last_read._wait_s = 10
    assert list(counters(await scraped(inside)).values()) == [2]


async def test_a_read_that_hangs_keeps_no_process_from_ending(tmp_path: Path) -> None:
    """It is given up."""
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path) as inside:
        stalling(inside, wait_s=0).works.clear()
        await scraped(inside)
        reading = inside.app[EXPORTER].last_read._reading
    assert reading is not None
    assert reading.cancelled()


async def test_a_fault_of_ours_is_not_passed_over(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old numbers are told for a store that fails, and for nothing else."""
    monkeypatch.setattr(inside.app[EXPORTER].last_read, "_now", lambda: "no time")
    async with inside.client.get(inside.prometheus_url) as response:
        assert response.status == 500


@pytest.mark.slow
async def test_postgresql_may_be_stopped(tmp_path: Path) -> None:
    """A real one, in the middle of it: the scrape succeeds, says what was refused meanwhile, and is of now when it is back."""
    with start_postgres(tmp_path / "postgres") as server:
        async with running(server.fresh_url(), tmp_path, CODER_PG_CONN_MAX_OPEN="5") as inside:
            await inside.post(inside.csp_path, json.dumps(REPORT))
            before = counters(await scraped(inside))
            assert len(before) == 1
            server.stop()
            for half in ("", "/deployment"):
                assert counters(await scraped(inside, half)) == before
            assert "collector_queue_reports" in await scraped(inside, "/replica")
            server.start()
            while (await inside.post(inside.csp_path, json.dumps(REPORT)))[0] != 200:
                pass
            assert sum(counters(await scraped(inside)).values()) >= 2
