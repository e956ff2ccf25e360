"""``serve --workers``: several processes take intake, one stores; nothing acknowledged is lost, whoever dies."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.postgres import PostgresServer
from tests.requirements import program
from tests.service import Service, run_service, serve_and_fail
from tests.test_kill import Tally, counted, exported, report, visit

CLIENTS, CONNECTIONS = 24, 40
AGENT = {
    "agent_id": "2f1e8f0e-6f0a-4f5e-9a55-0c3c2b1f7a11",
    "workspace_id": "f0a7c4a4-9a3b-4f6e-8f7d-1a2b3c4d5e6f",
    "user_id": "7c1f3a4e-51a6-4a8e-8f33-1de0a6c1b2d3",
    "template_id": "0b9d3c7e-2f64-4f0a-b6b5-5d6a7e8f9a0b",
    "stats": {"connection_count": 1, "connection_median_latency_ms": 12.5, "rx_bytes": 10, "tx_bytes": 20},
}


def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Return once ``condition`` holds: other processes start and end when they can."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # they are other processes


def listens(service: Service, workers: int = 1) -> bool:
    """Whether so many workers listen."""
    return service.sample("collector_workers") == workers


def worker_of(service: Service) -> int:
    """The process id of the only worker."""
    (pid,) = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return int(pid)


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def sockets(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def descriptors(service: Service) -> list[int]:
    """How many both processes have open, the main one first."""
    return [sockets(pid) for pid in (service.process.pid, worker_of(service))]


def assert_both_accepted(service: Service, before: list[int]) -> None:
    """Each process has accepted some of the connections that are open now; ``before`` them they had so many descriptors."""
    assert all(now > was + 3 for now, was in zip(descriptors(service), before, strict=True))


@contextmanager
def crewed(tmp_path: Path, **options: str) -> Iterator[Service]:
    """A service of two processes that both listen."""
    with run_service(tmp_path, **{"COLLECTOR_WORKERS": "2"} | options) as service:
        until(lambda: listens(service))
        yield service


@pytest.fixture(params=["sqlite", "postgresql"])
def crew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """One, once on each kind of database."""
    options = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        options = {"CODER_PG_CONNECTION_URL": server.fresh_url()}
    with crewed(tmp_path, **options) as service:
        yield service


def connections(service: Service) -> list[http.client.HTTPConnection]:
    """Many, so that every process has some: the system spreads them."""
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    return [http.client.HTTPConnection(host, int(port), timeout=20) for _ in range(CONNECTIONS)]


def said(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Status and body of one answer."""
    connection.request(method, path, body, headers)
    with connection.getresponse() as answer:
        return answer.status, answer.read()


@pytest.mark.slow
def test_both_processes_take_intake(crew: Service) -> None:
    """Reports and rows are taken by either and each counted once, and the service's own metrics are of both."""
    before = descriptors(crew)
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(each)) for each in connections(crew)]
        for number, each in enumerate(opened):
            assert said(each, "POST", f"/csp/reports?key={crew.browser_key}", report(number))[0] == 200
            rows = json.dumps([AGENT]).encode()
            bearer = {"Authorization": f"Bearer {crew.feed_key}"}
            status, answer = said(each, "POST", "/api/v2/ingest/agent-stats", rows, **bearer)
            assert (status, json.loads(answer)["accepted"]) == (200, 1)
        assert_both_accepted(crew, before)
    assert sum(row["count"] for row in crew.get("/api/v2/csp/violations?noise=include")["results"]) == CONNECTIONS
    assert crew.answers("POST", status="200") == CONNECTIONS
    assert crew.sample("collector_http_requests_total", route="/api/v2/ingest/agent-stats", status="200") == CONNECTIONS


@pytest.mark.slow
def test_everything_else_is_answered_alike(crew: Service) -> None:
    """Pages, the API, what is refused and what is unknown: over many connections there is one answer to each."""
    token = {"Coder-Session-Token": crew.admin_token}
    asked = [
        ("GET", "/", {}),
        ("GET", "/healthz", {}),
        ("HEAD", "/healthz", {}),
        ("GET", "/nowhere", {}),
        ("GET", "/api/v2/nowhere", {}),
        ("GET", "/api/v2/buildinfo", {}),
        ("GET", "/api/v2/csp/violations", token),
        ("GET", "/api/v2/csp/violations", {}),
        ("POST", "/csp/reports", {}),
        ("POST", "/csp/reports?key=wrong", {}),
        ("POST", "/csp/reports", token),
        ("OPTIONS", "/csp/reports", {}),
        ("DELETE", "/csp/reports", {}),
        ("POST", "/api/v2/ingest/agent-stats", {}),
        ("POST", "/api/v2/ingest/workspaces", {"Authorization": f"Bearer {crew.browser_key}"}),
    ]
    before = descriptors(crew)
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(each)) for each in connections(crew)]
        for method, path, headers in asked:
            body = report(1) if method == "POST" else None
            found = {said(each, method, path, body, **headers) for each in opened}
            assert len(found) == 1, (method, path, found)
        assert_both_accepted(crew, before)


@pytest.mark.slow
def test_one_limit_for_the_api(tmp_path: Path) -> None:
    """CODER_API_RATE_LIMIT is that of the service: whichever process an address comes to, it is counted in one place."""
    with crewed(tmp_path, CODER_API_RATE_LIMIT="10") as service, ExitStack() as stack:
        opened = [stack.enter_context(closing(each)) for each in connections(service)]
        statuses = [said(each, "GET", "/api/v2/buildinfo")[0] for each in opened]
    assert statuses.count(200) == 10
    assert set(statuses) == {200, 429}


@pytest.mark.slow
async def test_a_worker_is_killed(crew: Service) -> None:
    """Nothing acknowledged is lost with a worker that is killed under load, and another one takes its place."""
    tally = Tally()
    killed = worker_of(crew)
    async with aiohttp.ClientSession(crew.url) as client:
        visits = [
            asyncio.create_task(visit(client, f"/csp/reports?key={crew.browser_key}", tally, 1_000 * n)) for n in range(CLIENTS)
        ]
        tally.up.set()
        await tally.more(300)
        os.kill(killed, signal.SIGKILL)
        await tally.more(300)
        await asyncio.to_thread(until, lambda: crew.sample("collector_worker_starts_total") == 2 and listens(crew))
        await tally.more(300)
        tally.ended = True
        await asyncio.gather(*visits)
        _, total = await counted(client, crew.admin_token)
    assert tally.refused == []
    assert tally.acknowledged <= total <= tally.sent
    assert tally.sent - tally.acknowledged <= 2 * CLIENTS
    assert exported(await asyncio.to_thread(crew.counted)) == total
    assert worker_of(crew) != killed


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["the main process alone", "every process"])
async def test_a_signal_under_load_drains(crew: Service, whole_group: bool) -> None:
    """Told to stop, as by a supervisor or a terminal, all end with 0 and nothing that was accepted is refused or lost."""
    tally = Tally()
    worker = worker_of(crew)
    async with aiohttp.ClientSession(crew.url) as client:
        path = f"/csp/reports?key={crew.browser_key}"
        visits = [asyncio.create_task(visit(client, path, tally, 1_000 * n)) for n in range(CLIENTS)]
        tally.up.set()
        await tally.more(300)
        if whole_group:
            os.kill(worker, signal.SIGTERM)
        crew.process.send_signal(signal.SIGTERM)
        tally.up.clear()
        assert await asyncio.to_thread(crew.process.wait, 30) == 0
        tally.ended = True
        tally.up.set()
        await asyncio.gather(*visits)
        assert not lives(worker)
        crew.start()
        _, total = await counted(client, crew.admin_token)
    assert tally.refused == []
    assert tally.acknowledged <= total <= tally.sent
    assert "is started again" not in crew.log


@pytest.mark.slow
async def test_the_main_process_is_killed(crew: Service) -> None:
    """Its worker ends by itself, and after the next start the counts lie between what was acknowledged and what was sent."""
    tally = Tally()
    worker = worker_of(crew)
    async with aiohttp.ClientSession(crew.url) as client:
        path = f"/csp/reports?key={crew.browser_key}"
        visits = [asyncio.create_task(visit(client, path, tally, 1_000 * n)) for n in range(CLIENTS)]
        tally.up.set()
        await tally.more(300)
        crew.process.kill()
        tally.up.clear()
        await asyncio.to_thread(crew.process.wait, 30)
        await asyncio.to_thread(until, lambda: not lives(worker))
        await asyncio.to_thread(crew.start)
        tally.up.set()
        await tally.more(100)
        tally.ended = True
        await asyncio.gather(*visits)
        _, total = await counted(client, crew.admin_token)
    assert set(tally.refused) <= {503}
    assert tally.acknowledged <= total <= tally.sent


@pytest.mark.slow
def test_promtool_finds_nothing(tmp_path: Path) -> None:
    """Sums over the processes are metrics as any."""
    promtool = program("promtool")
    with crewed(tmp_path) as service:
        for each in connections(service):
            with closing(each):
                said(each, "POST", f"/csp/reports?key={service.browser_key}", report(1))
        text = service.metrics()
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.slow
def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    """It is misuse, and says which option."""
    ended = serve_and_fail(tmp_path / ("x" * 100) / "data", COLLECTOR_WORKERS="2")
    assert ended.returncode == 2
    assert "COLLECTOR_WORKERS: the path" in ended.stderr
