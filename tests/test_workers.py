"""``serve --workers``: several processes take intake, one stores; nothing acknowledged is lost, whoever dies."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.certificates import Authority
from tests.cli.test_systemd import hand_over, listener
from tests.postgres import PostgresServer, free_port
from tests.requirements import program
from tests.service import Service, environment, run_service, serve_and_fail
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
    pids = crew.process.pid, worker_of(crew)
    before = [sockets(pid) for pid in pids]
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(each)) for each in connections(crew)]
        for number, each in enumerate(opened):
            assert said(each, "POST", f"/csp/reports?key={crew.browser_key}", report(number))[0] == 200
            rows = json.dumps([AGENT]).encode()
            bearer = {"Authorization": f"Bearer {crew.feed_key}"}
            status, answer = said(each, "POST", "/api/v2/ingest/agent-stats", rows, **bearer)
            assert (status, json.loads(answer)["accepted"]) == (200, 1)
        assert all(sockets(pid) > was + 3 for pid, was in zip(pids, before, strict=True))
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
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(each)) for each in connections(crew)]
        for method, path, headers in asked:
            body = report(1) if method == "POST" else None
            found = {said(each, method, path, body, **headers) for each in opened}
            assert len(found) == 1, (method, path, found)


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
def test_sockets_of_a_supervisor_are_shared(tmp_path: Path) -> None:
    """With sockets from systemd both processes accept from the same one."""
    data = tmp_path / "data"
    data.mkdir()
    with ExitStack() as stack:
        opened, metrics = (stack.enter_context(listener()) for _ in range(2))
        url, scraped = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (opened, metrics))
        command = hand_over("prometheus:http", metrics, opened)
        env = environment(data, COLLECTOR_WORKERS="2", CODER_HTTP_ADDRESS="192.0.2.1:1")
        service = Service(data, env, url, f"{scraped}/metrics", command, (opened.fileno(), metrics.fileno()))
        service.start()
        try:
            until(lambda: listens(service))
            for number in range(CONNECTIONS):
                request = urllib.request.Request(f"{url}/csp/reports?key={service.browser_key}", report(number))
                with urllib.request.urlopen(request, timeout=20) as response:
                    assert response.status == 200
            assert service.answers("POST", status="200") == CONNECTIONS
            service.stop()
        finally:
            if service.process.poll() is None:
                service.kill()


@pytest.mark.slow
def test_tls_in_every_process(tmp_path: Path) -> None:
    """Over HTTPS every process shows the certificate, takes reports and passes pages on."""
    authority, port = Authority(tmp_path), free_port()
    pair = authority.pair("one")
    tls = {
        "CODER_TLS_ENABLE": "true",
        "CODER_TLS_ADDRESS": f"127.0.0.1:{port}",
        "CODER_TLS_CERT_FILE": str(pair.certificate),
        "CODER_TLS_KEY_FILE": str(pair.key),
        "CODER_STRICT_TRANSPORT_SECURITY": "3600",
    }
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with crewed(tmp_path, **tls) as service:
        for number in range(CONNECTIONS):
            url = f"https://127.0.0.1:{port}/csp/reports?key={service.browser_key}"
            request = urllib.request.Request(url, report(number))
            with urllib.request.urlopen(request, context=trusting, timeout=20) as response:
                assert response.status == 200
            with urllib.request.urlopen(f"https://127.0.0.1:{port}/", context=trusting, timeout=20) as response:
                assert response.headers["Strict-Transport-Security"] == "max-age=3600"  # the scheme is the client's
        assert service.answers("POST", status="200") == CONNECTIONS


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
