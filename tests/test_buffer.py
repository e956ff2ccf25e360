"""Intake through a real NATS JetStream: acknowledged by the stream, stored once, whatever is down meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from sqlalchemy import select
from structlog.testing import capture_logs

from collector.buffer import BUFFER
from collector.http.appkeys import CREDENTIALS, IDENTITIES, STORE, WRITER
from collector.normalize.identity import NOBODY
from collector.persist.tables import agents
from collector.persist.userdata import remember_erased
from collector.telemetry import learn_erased
from tests import messages
from tests.inside import Inside, running, running_beside
from tests.nats import NatsServer, start_nats
from tests.stalling import StallingStore

REPORT = {
    "csp-report": {
        "document-uri": "https://shop.example/cart",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'self'",
        "disposition": "enforce",
        "blocked-uri": "https://cdn.example/lib.js",
    }
}
BODY = {
    "documentURL": "https://shop.example/",
    "effectiveDirective": "script-src-elem",
    "blockedURL": "https://cdn.example/a.js",
}
NKEY = "UDPYNTHCYKINYHSW2GB35VU2GXPXQXMV2HPXPDHDDEBU4WXWOZTFI6CW"  # the public half of a pair that nobody has
AGENT: dict[str, Any] = {
    "agent_id": "2f1e8f0e-6f0a-4f5e-9a55-0c3c2b1f7a11",
    "workspace_id": "f0a7c4a4-9a3b-4f6e-8f7d-1a2b3c4d5e6f",
    "user_id": "7c1f3a4e-51a6-4a8e-8f33-1de0a6c1b2d3",
    "template_id": "0b9d3c7e-2f64-4f0a-b6b5-5d6a7e8f9a0b",
    "stats": {"connection_count": 1, "connection_median_latency_ms": 12.5, "rx_bytes": 10, "tx_bytes": 20},
}


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """One server with JetStream."""
    with start_nats(tmp_path / "nats") as (server,):
        yield server


@asynccontextmanager
async def collecting(
    url: str, data: Path, nats: NatsServer, before: Inside | None = None, **options: str
) -> AsyncIterator[Inside]:
    """A running collector with a stream before its database, on which ``before`` ran, if one did."""
    options = {"COLLECTOR_NATS_URL": nats.url, **options}
    async with running_beside(before, url, data, **options) if before else running(url, data, **options) as collector:
        async with asyncio.timeout(60):
            await collector.app[BUFFER].stream.ready.wait()
        yield collector


@pytest.fixture
async def buffered(migrated_url: str, tmp_path: Path, nats: NatsServer) -> AsyncIterator[Inside]:
    """One, on an empty database."""
    async with collecting(migrated_url, tmp_path, nats) as collector:
        yield collector


async def brought(collector: Inside) -> int:
    """The status of one more report."""
    return (await collector.post(collector.csp_path, json.dumps(REPORT)))[0]


async def checks(collector: Inside) -> tuple[int, dict[str, Any]]:
    """The status of /readyz, and by name whether a check passed."""
    async with collector.client.get("/readyz") as response:
        return response.status, {check["name"]: check["ok"] for check in (await response.json())["checks"]}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once ``condition`` holds: the stream delivers when it likes, and its server is another process."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 — nobody has an event for it
            await asyncio.sleep(0.05)  # the stream delivers when it likes


async def until_counted(collector: Inside, reports: int) -> None:
    """Return once as many CSP reports are in the database, and the stream has nothing more to deliver."""

    async def is_quiet() -> bool:
        return await counted(collector) >= reports and not (await collector.app[BUFFER].stream.position()).pending

    await until(is_quiet)
    assert await counted(collector) == reports


async def counted(collector: Inside) -> int:
    """CSP reports in the database."""
    return sum(row["count"] for row in (await collector.get("/api/v2/csp/violations"))["results"])


async def test_what_is_brought_comes_through_the_stream(buffered: Inside) -> None:
    """Reports of browsers and of agents are acknowledged by the stream, and then in the database, each once."""
    assert [await brought(buffered) for _ in range(5)] == [200] * 5
    status, answer = await buffered.post("/api/v2/ingest/agent-stats", json.dumps([AGENT]), **buffered.feed)
    assert (status, answer["accepted"]) == (200, 1)
    await until_counted(buffered, 5)
    assert (await buffered.app[BUFFER].stream.position()).acknowledged > 0


@pytest.mark.slow
async def test_without_its_database_intake_goes_on(buffered: Inside) -> None:
    """Nobody is refused while the database is away; what came meanwhile is stored once it is back."""
    writer = buffered.app[WRITER]
    writer._store = store = StallingStore(writer._store)
    assert await brought(buffered) == 200
    store.down = True
    assert [await brought(buffered) for _ in range(20)] == [200] * 20

    async def is_known() -> bool:
        return not writer.works and (await buffered.metrics())["collector_stream_oldest_seconds"] > 0

    await until(is_known)
    status, found = await checks(buffered)
    assert (status, found["stream"], found["store"]) == (200, True, False)
    store.down = False
    await until_counted(buffered, 21)


@pytest.mark.slow
async def test_without_its_stream_it_refuses_and_says_so(buffered: Inside, nats: NatsServer) -> None:
    """While no server of NATS answers, intake is 503 in words and not ready; both recover by themselves, nothing is doubled."""
    assert await brought(buffered) == 200
    nats.end()
    status, answer = await buffered.post(buffered.csp_path, json.dumps(REPORT))
    assert (status, answer["detail"]) == (503, "NATS JetStream does not acknowledge it.")
    status, found = await checks(buffered)
    assert (status, found["stream"], found["store"]) == (503, False, True)
    nats.start()

    async def is_ready() -> bool:
        return (await checks(buffered))[0] == 200

    await until(is_ready)
    assert await brought(buffered) == 200

    async def are_both_there() -> bool:
        return await counted(buffered) >= 2

    await until(are_both_there)
    assert await counted(buffered) <= 3  # the one that was refused may have come all the same, but once


async def test_an_unknown_key_is_no_wrong_key_while_the_database_is_away(buffered: Inside) -> None:
    """It cannot be looked up: 503, which is tried again, and not 401, which is given up on. A known one is good."""
    assert await brought(buffered) == 200
    credentials = buffered.app[CREDENTIALS]
    credentials._store = store = StallingStore(credentials._store)
    store.down = True
    assert await brought(buffered) == 200
    unknown = buffered.csp_path[:-4] + "aaaa"
    assert (await buffered.post(unknown, json.dumps(REPORT)))[0] == 503
    store.down = False
    assert (await buffered.post(unknown, json.dumps(REPORT)))[0] == 401


@pytest.mark.slow
async def test_a_restored_database_catches_up(tmp_path: Path, nats: NatsServer) -> None:
    """On a copy of its database from before some reports, the collector reads these from the stream again, and none twice."""
    data = tmp_path / "data"
    url = f"sqlite:///{data / 'collector.db'}"
    async with collecting(url, data, nats) as collector:
        assert await brought(collector) == 200
        await until_counted(collector, 1)
    shutil.copy(data / "collector.db", tmp_path / "yesterday.db")
    async with collecting(url, data, nats, collector) as collector:
        assert [await brought(collector) for _ in range(4)] == [200] * 4
        await until_counted(collector, 5)
    shutil.copy(tmp_path / "yesterday.db", data / "collector.db")
    async with collecting(url, data, nats, collector) as collector:
        await until_counted(collector, 5)


async def test_who_is_erased_does_not_come_back_from_the_stream(buffered: Inside) -> None:
    """What was brought about a user before its data was erased, and is stored after that, is nobody's."""
    consumer, store, identities = buffered.app[BUFFER]._consumer, buffered.app[STORE], buffered.app[IDENTITIES]
    await consumer.stop()
    rows = [{**AGENT, "username": "grace"}]
    assert (await buffered.post("/api/v2/ingest/agent-stats", json.dumps(rows), **buffered.feed))[0] == 200
    marks = [identities.mark(AGENT["user_id"])]
    await store.transact(partial(remember_erased, marks=marks, now=1))
    await learn_erased(buffered.app)
    consumer.start()

    async def stored() -> list[tuple[str, str | None]]:
        found = select(agents.c.user_id, agents.c.username)
        return await store.read(lambda connection: [tuple(row) for row in connection.execute(found)])

    async def is_stored() -> bool:
        return bool(await stored())

    await until(is_stored)
    assert await stored() == [(NOBODY, None)]


@pytest.mark.slow
async def test_a_full_stream_refuses(migrated_url: str, tmp_path: Path, nats: NatsServer) -> None:
    """What does not fit is answered 503 and not stored; what was acknowledged before stays."""
    async with collecting(migrated_url, tmp_path, nats, COLLECTOR_NATS_MAX_BYTES="1MB") as collector:
        body = json.dumps({"csp-report": {**REPORT["csp-report"], "document-uri": f"https://shop.example/{'cart-' * 200}"}})
        details, accepted = set[str](), 0
        async with asyncio.timeout(60):
            while not details:
                answers = await asyncio.gather(*(collector.post(collector.csp_path, body) for _ in range(50)))
                accepted += sum(status == 200 for status, _ in answers)
                details = {answer["detail"] for status, answer in answers if status == 503}
        assert details == {"The stream is at its COLLECTOR_NATS_MAX_BYTES."}
        await until_counted(collector, accepted)


async def test_what_cannot_be_read_holds_nothing_up(buffered: Inside, nats: NatsServer) -> None:
    """A message that no collector has written is passed over, and counted; what comes behind it is stored."""
    client = Client()
    await client.connect([nats.url])
    await client.jetstream().publish("collector.intake", b"\x93not a message")
    await client.close()
    assert await brought(buffered) == 200
    await until_counted(buffered, 1)
    assert (await buffered.metrics())["collector_stream_unreadable_total"] >= 1


async def test_what_is_too_large_for_nats_is_told(migrated_url: str, tmp_path: Path) -> None:
    """It is refused with the reason, and the stream goes on for everybody else."""
    with start_nats(tmp_path / "nats", settings="max_payload: 32KB") as (nats,):
        async with collecting(migrated_url, tmp_path, nats) as collector:
            large = messages.full_snapshot(workspaces=[messages.workspace(number) for number in range(500)])
            headers = messages.headers(collector.secrets.feed_key)
            status, answer = await collector.post("/snapshot", large, **headers)
            assert (status, answer["detail"]) == (503, "It is larger than the max_payload of NATS.")
            assert (await checks(collector))[0] == 200
            reports = [{"type": "csp-violation", "age": 0, "url": "https://shop.example/", "body": BODY}] * 200
            assert (await collector.post(collector.csp_path, json.dumps(reports)))[0] == 200
            await until_counted(collector, 200)


async def test_credentials_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """The log says so once, and the service refuses until the file is there."""
    options = {"COLLECTOR_NATS_CREDENTIALS": str(tmp_path / "none.creds"), "COLLECTOR_SUBMIT_TIMEOUT": "1s"}
    with (
        start_nats(tmp_path / "nats", settings=f"authorization {{ users: [{{ nkey: {NKEY} }}] }}") as (nats,),
        capture_logs() as logged,
    ):
        async with running("sqlite", tmp_path, COLLECTOR_NATS_URL=nats.url, **options) as collector:
            assert await brought(collector) == 503
    told = [entry for entry in logged if entry["event"] == "NATS fails" and entry["log_level"] == "warning"]
    assert len(told) == 1
    assert "none.creds" in told[0]["error"]
