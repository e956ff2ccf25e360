"""The service under systemd: sockets that outlive it, and what it says of itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.service import ROOT, Service, environment

CLIENTS = 4
ANSWERED_WITHIN = 60.0  # seconds; what waits through a restart waits for about two
# What systemd does between fork and exec: sockets become the descriptors from 3 on, and the variables name this very process.
HAND_OVER = """
import fcntl, os, sys
names, *descriptors = sys.argv[1:]
copies = [fcntl.fcntl(int(descriptor), fcntl.F_DUPFD, 20) for descriptor in descriptors]
for place, copy in enumerate(copies):
    os.dup2(copy, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(copies)), LISTEN_FDNAMES=names)
os.execv(sys.executable, [sys.executable, "-m", "collector", "serve"])
"""
REPORT = json.dumps(
    {
        "csp-report": {
            "document-uri": "https://shop.example/cart",
            "effective-directive": "script-src-elem",
            "blocked-uri": "https://cdn.example/lib.js",
            "disposition": "enforce",
        }
    }
).encode()


def listener() -> socket.socket:
    """A socket as a socket unit opens it: it listens, and nobody accepts yet."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def hand_over(names: str, *sockets: socket.socket) -> list[str]:
    """The command that starts a service with ``sockets``, named as in LISTEN_FDNAMES."""
    return [sys.executable, "-c", HAND_OVER, names, *(str(each.fileno()) for each in sockets)]


@contextmanager
def activated(tmp_path: Path) -> Iterator[Service]:
    """A service whose HTTP and Prometheus sockets were opened for it; its own addresses cannot be listened on."""
    data = tmp_path / "data"
    data.mkdir()
    nowhere = {"CODER_HTTP_ADDRESS": "192.0.2.1:1", "CODER_PROMETHEUS_ADDRESS": "192.0.2.1:2"}
    env = environment(data, CODER_AGENT_STATS_REFRESH_INTERVAL="1s", **nowhere)
    with ExitStack() as stack:
        http, metrics = (stack.enter_context(listener()) for _ in range(2))
        url, scraped = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (http, metrics))
        command = hand_over("prometheus:http", metrics, http)
        service = Service(data, env, url, f"{scraped}/metrics", command, (http.fileno(), metrics.fileno()))
        service.start()
        try:
            yield service
        finally:
            if service.process.poll() is None:
                service.kill()


class Browsers:
    """Clients that report one after the other, each time over a connection of its own."""

    def __init__(self, service: Service) -> None:
        self.url = f"{service.url}/csp/reports?key={service.browser_key}"
        self.ended = threading.Event()
        self.answered = threading.Semaphore(0)
        self.statuses: list[int] = []

    def report(self) -> None:
        """Report until told to stop; a connection that is refused or broken raises."""
        while not self.ended.is_set():
            request = urllib.request.Request(self.url, REPORT, {"Content-Type": "application/csp-report"})
            with urllib.request.urlopen(request, timeout=ANSWERED_WITHIN) as response:
                self.statuses.append(response.status)
            self.answered.release()

    def wait_for(self, count: int) -> None:
        """Return when ``count`` further reports were answered."""
        for _ in range(count):
            assert self.answered.acquire(timeout=ANSWERED_WITHIN)


@pytest.mark.slow
def test_a_restart_refuses_no_connection(tmp_path: Path) -> None:
    """While the service is restarted twice, every connection is accepted, every report is answered, and all are counted."""
    with activated(tmp_path) as service, ThreadPoolExecutor(CLIENTS) as pool:
        browsers = Browsers(service)
        running = [pool.submit(browsers.report) for _ in range(CLIENTS)]
        try:
            browsers.wait_for(50)
            for _ in range(2):
                service.restart()
                browsers.wait_for(50)
        finally:
            browsers.ended.set()
        for each in running:
            each.result(ANSWERED_WITHIN)

        assert set(browsers.statuses) == {200}
        assert [found["count"] for found in service.get("/api/v2/csp/violations")["results"]] == [len(browsers.statuses)]
        assert "collector_" in service.metrics()
        assert f"Open      {service.url}/" in service.log
        service.stop()


@pytest.mark.slow
def test_a_socket_that_does_not_listen(tmp_path: Path) -> None:
    """A socket of another kind is refused by its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handed:
        ended = subprocess.run(
            hand_over("http", handed),
            cwd=ROOT,
            env=environment(tmp_path / "data"),
            pass_fds=[handed.fileno()],
            capture_output=True,
            text=True,
            timeout=ANSWERED_WITHIN,
            check=False,
        )

    assert ended.returncode == 2
    assert "The inherited socket 'http' is no TCP socket that listens" in ended.stderr


@pytest.mark.slow
def test_what_a_supervisor_is_told(tmp_path: Path) -> None:
    """Ready once it answers, alive again and again while it is watched, and stopping before it drains."""
    data = tmp_path / "data"
    data.mkdir()
    env = environment(data, NOTIFY_SOCKET=f"@{tmp_path}", WATCHDOG_USEC="200000")
    url = f"http://{env['CODER_HTTP_ADDRESS']}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(ANSWERED_WITHIN)
        supervisor.bind(f"\0{tmp_path}")
        service = Service(data, env, url, "")
        service.start()
        try:
            told = [supervisor.recv(64) for _ in range(4)]
            service.process.send_signal(signal.SIGTERM)
            while told[-1] != b"STOPPING=1":
                told.append(supervisor.recv(64))
            assert service.process.wait(ANSWERED_WITHIN) == 0
        finally:
            if service.process.poll() is None:
                service.kill()

    assert told[0] == b"READY=1"
    assert told[1:4] == [b"WATCHDOG=1"] * 3
    assert set(told[4:-1]) <= {b"WATCHDOG=1"}
