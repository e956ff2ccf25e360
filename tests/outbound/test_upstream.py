"""Polling, against a stand-in of a Coder server on loopback and on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from collector.outbound.coder import ANSWER_LIMIT
from collector.outbound.upstream import Poller
from collector.persist.engine import Store
from collector.persist.tables import snapshots
from collector.rollup.sources import SourceState, sources
from collector.wire.config import Upstream
from collector.wire.deployment import Source
from tests.outbound.coder import DEPLOYMENT, INTERVAL_MS, TOKEN, Clock, Coder

NOW = 1_768_384_800_000
MINUTE_MS = 60_000


class Polled(NamedTuple):
    """A server, who asks it, and where the answers go."""

    coder: Coder
    poller: Poller
    store: Store
    clock: Clock

    async def until(self, moment: int) -> None:
        """Ask whenever it is due, until ``moment``."""
        while self.poller.due < moment:
            self.clock.now = max(self.clock.now, self.poller.due)
            self.coder.work()
            await self.poller.run()
        self.clock.now = max(self.clock.now, moment)

    async def stored(self) -> list[dict[str, Any]]:
        """The rows of the server's deployment, oldest first."""
        rows = select(snapshots).where(snapshots.c.deployment == DEPLOYMENT).order_by(snapshots.c.collected_at)
        return await self.store.read(lambda connection: [dict(row) for row in connection.execute(rows).mappings()])

    async def times(self) -> list[int]:
        """When the stored snapshots were made, by the server's clock."""
        return [row["collected_at"] for row in await self.stored()]


@pytest.fixture
async def polled(store: Store, tmp_path: Path) -> AsyncIterator[Polled]:
    """A server that has just begun, and a poller that has not asked yet."""
    clock = Clock(NOW)
    coder = Coder(clock, began=NOW)
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    async with TestServer(coder.routes()) as server:
        upstream = Upstream(url=str(server.make_url("/")), token_file=str(token))
        yield Polled(coder, Poller(upstream, store.transact, {}, now=clock, fetch_within=5), store, clock)


async def test_a_snapshot_is_stored_as_the_server_gave_it(polled: Polled) -> None:
    """Under the server's deployment, with its times and numbers; and the source is known with the server's version."""
    await polled.until(NOW + 2_000)

    (row,) = await polled.stored()
    assert row["source"] == "upstream"
    assert [row[name] - NOW for name in ("aggregated_from", "collected_at", "next_update_at")] == [-899_800, 200, 30_200]
    assert [row[f"connection_latency_{percentile}_ms"] for percentile in ("p50", "p95")] == [12.5, -1]
    assert (row["running"], row["rx_bytes"], row["session_count_ssh"]) == (1, 7_000, 2)
    (state,) = await polled.store.read(sources)
    assert state == SourceState(DEPLOYMENT, Source.UPSTREAM, NOW + 1_000, "v2.30.0+7d5cd06")


async def test_a_quiet_hour_is_polled_once_a_snapshot(polled: Polled) -> None:
    """It asks when the server says that there is something new, and not in between."""
    await polled.until(NOW + 3_600_000)

    assert await polled.times() == polled.coder.made
    assert polled.coder.asked <= len(polled.coder.made) + 2


@pytest.mark.parametrize("ahead_ms", [0, -3_600_000, 40_000])
@pytest.mark.parametrize("zone", ["Z", "-05:00"])
async def test_history_has_no_gap_and_no_duplicate(polled: Polled, ahead_ms: int, zone: str) -> None:
    """Whatever a server does in half an hour: what it made is there once, and nothing else."""
    coder, clock = polled.coder, polled.clock
    coder.ahead_ms, coder.zone = ahead_ms, zone
    await polled.until(NOW + 5 * MINUTE_MS)
    coder.drops = 3  # connections break
    await polled.until(NOW + 8 * MINUTE_MS)
    coder.delays_ms = [2_000, 11_000, 14_000]  # answers are slow
    await polled.until(NOW + 12 * MINUTE_MS + 7_000)
    coder.stop()  # it is gone for longer than an interval
    await polled.until(NOW + 16 * MINUTE_MS + 1_500)
    coder.start()
    coder.version, coder.capital = "v2.31.0+1111111", False  # and comes back as another version
    await polled.until(NOW + 20 * MINUTE_MS + 29_900)
    coder.stop()  # a restart that takes a moment
    await polled.until(clock.now + 3_000)
    coder.start()
    await polled.until(NOW + 30 * MINUTE_MS)

    assert await polled.times() == [at + ahead_ms for at in coder.made]
    assert len(coder.made) > 50
    (state,) = await polled.store.read(sources)
    assert state.version == "v2.31.0+1111111"
    assert (await polled.stored())[-1]["connection_latency_p50_ms"] == 12.5


async def test_its_source_is_that_of_its_deployment(polled: Polled, tmp_path: Path) -> None:
    """What a server is to be shown by holds once it has said which deployment it is, unless that was said by its id."""
    polled.clock.now += 1_000  # by then there is a snapshot
    async with TestServer(polled.coder.routes()) as server:
        upstream = Upstream(url=str(server.make_url("/")), token_file=str(tmp_path / "token"), source="reports")
        for said, expected in (({}, Source.REPORTS), ({DEPLOYMENT: Source.TELEMETRY}, Source.TELEMETRY)):
            await Poller(upstream, polled.store.transact, said, now=polled.clock).run()
            assert said == {DEPLOYMENT: expected}


async def test_a_time_far_away_is_not_stored(polled: Polled) -> None:
    """A server whose clock is more than a day off would fill a time that retention never comes to."""
    polled.coder.ahead_ms = 100 * 365 * 86_400_000
    await polled.until(NOW + MINUTE_MS)

    assert polled.coder.asked > 3
    assert await polled.stored() == []


async def test_a_second_process_stores_nothing_twice(polled: Polled, tmp_path: Path) -> None:
    """The server's time of a snapshot makes it the same one."""
    async with TestServer(polled.coder.routes()) as server:
        other = Poller(
            Upstream(url=str(server.make_url("/")), token_file=str(tmp_path / "token")),
            polled.store.transact,
            {},
            now=polled.clock,
        )
        for minute in range(1, 5):
            await polled.until(NOW + minute * MINUTE_MS)
            await other.run()

    assert await polled.times() == polled.coder.made


async def test_who_cannot_be_reached_is_asked_less_and_less(polled: Polled) -> None:
    """First soon, then twice as late each time, up to half an interval."""
    polled.coder.stop()
    waits = []
    for _ in range(7):
        polled.clock.now = max(polled.clock.now, polled.poller.due)
        await polled.poller.run()
        waits.append(polled.poller.due - polled.clock.now)

    assert waits == [1_000, 2_000, 4_000, 8_000, INTERVAL_MS // 2, INTERVAL_MS // 2, INTERVAL_MS // 2]


async def test_the_token_stays_with_its_host(polled: Polled) -> None:
    """A redirect is not followed, wherever it leads."""
    seen = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request.headers)
        return web.Response()

    other = web.Application()
    other.router.add_get("/{path:.*}", take)
    async with TestServer(other) as server:
        polled.coder.elsewhere = str(server.make_url("/api/v2/deployment/stats"))
        await polled.until(NOW + MINUTE_MS)

    assert polled.coder.asked > 3
    assert seen == []
    assert await polled.stored() == []


async def test_a_token_is_read_anew(polled: Polled, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token that was replaced in its file is used at the next question, and none is ever logged."""
    token = tmp_path / "token"
    token.unlink()
    await polled.until(NOW + 2_000)
    token.write_text("klmnopqrst-expired")
    await polled.until(NOW + 4_000)
    assert await polled.stored() == []

    token.write_text(TOKEN)
    await polled.until(NOW + MINUTE_MS)

    assert len(await polled.stored()) == 2
    assert TOKEN not in caplog.text
    assert "klmnopqrst" not in caplog.text


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b" " * (ANSWER_LIMIT + 1)])
async def test_what_is_no_answer_is_not_stored(store: Store, tmp_path: Path, body: bytes) -> None:
    """It is counted as failed, and asked for again."""
    app = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app.router.add_get("/{path:.*}", answer)
    (tmp_path / "token").write_text(TOKEN)
    clock = Clock(NOW)
    async with TestServer(app) as server:
        poller = Poller(
            Upstream(url=str(server.make_url("")), token_file=str(tmp_path / "token")), store.transact, {}, now=clock
        )
        await poller.run()

    assert poller.due == NOW + 1_000
    assert await store.read(sources) == []


async def test_an_answer_that_never_comes_is_given_up(store: Store, tmp_path: Path) -> None:
    """Once its time is over."""
    let = asyncio.Event()
    app = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        await let.wait()
        return web.Response()

    app.router.add_get("/{path:.*}", answer)
    (tmp_path / "token").write_text(TOKEN)
    async with TestServer(app) as server:
        upstream = Upstream(url=str(server.make_url("/")), token_file=str(tmp_path / "token"))
        poller = Poller(upstream, store.transact, {}, now=Clock(NOW), fetch_within=0.05)
        await poller.run()
        let.set()

    assert poller.due == NOW + 1_000
