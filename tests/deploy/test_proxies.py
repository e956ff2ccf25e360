"""The proxies of docs/operations.md, configured as it says, before a real service."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.deploy.test_operations import BLOCKS
from tests.postgres import free_port
from tests.requirements import program
from tests.service import ROOT, Service, run_service

pytestmark = pytest.mark.slow

HOST = "csp.example.com"
LISTENS_WITHIN = 30.0
LARGE = 20_000_000
OPTIONS = dict(line.split("=", 1) for line in BLOCKS["options behind a proxy"].splitlines())
REPORT = {"csp-report": {"document-uri": "https://a.example/", "effective-directive": "img-src", "blocked-uri": "data"}}


def nginx(place: Path, service: Service, port: int) -> list[str | Path]:
    """The command that runs nginx with the documented server, on a port and with files of the test."""
    block = BLOCKS["nginx"].replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl", str(place))
    paths = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (place / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {place}/pid; error_log stderr warn; events {{}}"
        f" http {{ {paths} {block.replace('127.0.0.1:3000', service.url.removeprefix('http://'))} }}"
    )
    return [program("nginx"), "-p", place, "-c", place / "nginx.conf"]


def caddy(place: Path, service: Service, port: int) -> list[str | Path]:
    """Likewise Caddy, with a certificate of the test, since nobody here would give it one."""
    files = f"tls {place}/{HOST}.pem {place}/{HOST}.key"
    block = BLOCKS["caddy"].replace(f"{HOST} {{", f"https://{HOST}:{port} {{\n bind 127.0.0.1\n {files}")
    (place / "Caddyfile").write_text(
        "{\n admin off\n auto_https disable_redirects\n}\n"
        + block.replace("127.0.0.1:3000", service.url.removeprefix("http://"))
    )
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", place / "Caddyfile"]


@contextmanager
def proxied(command: list[str | Path], place: Path, port: int) -> Iterator[None]:
    """The proxy, once it listens."""
    env = os.environ | {"HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    with (place / "log").open("wb") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as proxy:
        try:
            deadline = time.monotonic() + LISTENS_WITHIN
            while not _listens(port):
                assert proxy.poll() is None, (place / "log").read_text()
                assert time.monotonic() < deadline, (place / "log").read_text()
                time.sleep(0.05)  # it is another process: whether it listens can only be asked
            yield
        finally:
            proxy.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def answer(port: int, trust: ssl.SSLContext, path: str, source: str, claimed: str = "") -> http.client.HTTPResponse:
    """What a browser at ``source`` gets over HTTPS for a report to ``path``, claiming to be ``claimed``."""
    with socket.create_connection(("127.0.0.1", port), 30, (source, 0)) as plain:
        connection = http.client.HTTPConnection(HOST)
        connection.sock = trust.wrap_socket(plain, server_hostname=HOST)
        connection.request("POST", path, json.dumps(REPORT).encode(), {"X-Forwarded-For": claimed} if claimed else {})
        response = connection.getresponse()
        response.read()
        connection.close()
        return response


BOTH = pytest.mark.parametrize("configured", [nginx, caddy])
Configured = Callable[[Path, Service, int], list[str | Path]]


@BOTH
def test_a_proxy_is_believed_and_a_browser_is_not(tmp_path: Path, configured: Configured) -> None:
    """Reports arrive, the service knows that HTTPS was spoken and to whom, and nobody is more than one client."""
    authority, port = Authority(tmp_path), free_port()
    authority.pair(HOST, [HOST])
    trust = ssl.create_default_context(cafile=authority.file)
    with run_service(tmp_path, CODER_STRICT_TRANSPORT_SECURITY="3600", **OPTIONS) as service:
        path = f"/csp/reports?key={service.browser_key}"
        with proxied(configured(tmp_path, service, port), tmp_path, port):
            claims = [("127.0.0.2", "203.0.113.1"), ("127.0.0.2", "203.0.113.2"), ("127.0.0.3", "203.0.113.1")]
            reported = [answer(port, trust, path, source, claimed) for source, claimed in claims]
            asked = answer(port, trust, "/api/v2/buildinfo", "127.0.0.2")
        service.restart()  # how many clients there were is written at the latest by then
        (violation,) = service.get("/api/v2/csp/violations")["results"]

    assert [each.status for each in reported] == [200] * 3
    assert asked.headers["Strict-Transport-Security"] == "max-age=3600"
    assert violation["count"] == 3
    assert violation["clients"] == 2


@BOTH
def test_large_telemetry_comes_through(tmp_path: Path, configured: Configured) -> None:
    """A snapshot of 20 MB is taken, and lies on no disk of the proxy's on its way."""
    authority, port = Authority(tmp_path), free_port()
    authority.pair(HOST, [HOST])
    trust = ssl.create_default_context(cafile=authority.file)
    snapshot = json.loads((ROOT / "tests/payloads/telemetry/snapshot.json").read_bytes()) | {"padding": "x" * LARGE}
    with (
        run_service(tmp_path, **OPTIONS) as service,
        proxied(configured(tmp_path, service, port), tmp_path, port),
        socket.create_connection(("127.0.0.1", port), 60) as plain,
    ):
        connection = http.client.HTTPConnection(HOST)
        connection.sock = trust.wrap_socket(plain, server_hostname=HOST)
        connection.request("POST", "/snapshot", json.dumps(snapshot), {"Authorization": f"Bearer {service.feed_key}"})
        status = connection.getresponse().status
        connection.close()

    assert status == 202
    assert "temporary file" not in (tmp_path / "log").read_text()
