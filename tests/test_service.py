"""The service as a process: its first start, its end, what it prints and logs, and what it listens on."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
import sqlite3
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.postgres import free_port
from tests.service import SECRETS, Service, run_service, serve_and_fail

REPORT = json.dumps(
    {
        "csp-report": {
            "document-uri": "https://shop.example/cart?private=querymark",
            "effective-directive": "img-src",
            "blocked-uri": "https://img.example/a.png?private=querymark",
        }
    }
).encode()


def address(service: Service) -> tuple[str, int]:
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    return host, int(port)


def say(service: Service, data: bytes) -> bytes:
    """Everything that the service answers to these bytes before it closes the connection."""
    with closing(socket.create_connection(address(service), 10)) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def asked(service: Service, method: str, path: str, **headers: str) -> int:
    with closing(http.client.HTTPConnection(*address(service), timeout=10)) as connection:
        connection.request(method, path, REPORT if method == "POST" else None, headers)
        return connection.getresponse().status


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with run_service(tmp_path) as running:
        yield running


def test_the_first_start_keeps_its_secrets_in_a_file(service: Service) -> None:
    """Without a terminal the secrets go to a file for the owner alone; printed are its path and the public header."""
    file = service.data / SECRETS
    lines = service.log.splitlines()
    header = [line for line in lines if "Content-Security-Policy-Report-Only: " in line]

    assert file.stat().st_mode & 0o777 == 0o600
    assert str(file) in service.log
    assert service.admin_token not in service.log
    assert service.feed_key not in service.log
    assert len(header) == 1
    assert header[0].endswith(f"report-uri {service.url}/csp/reports?key={service.browser_key}")
    assert [line for line in lines if service.browser_key in line] == header


def test_the_second_start_prints_no_secret(service: Service) -> None:
    """A second start on the same data prints none of the secrets and makes no new ones."""
    service.stop()
    printed, made = len(service.log), (service.data / SECRETS).read_bytes()
    service.start()

    again = service.log[printed:]
    assert "is ready" in again
    assert not [secret for secret in (service.admin_token, service.feed_key, service.browser_key) if secret in again]
    assert (service.data / SECRETS).read_bytes() == made


@pytest.mark.slow
def test_secrets_file_of_an_earlier_life_is_closed_to_others(tmp_path: Path) -> None:
    """A file of that name that everybody could read is the owner's alone before a secret stands in it."""
    file = tmp_path / "data" / SECRETS
    file.parent.mkdir()
    file.write_text("{}")
    file.chmod(0o644)
    with run_service(tmp_path):  # which looks at the mode
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_drains(service: Service, number: signal.Signals) -> None:
    """A report that waits for its commit when the signal comes is stored and answered; nobody new is let in; exit code 0."""
    other = sqlite3.connect(service.data / "collector.db", isolation_level=None)
    with closing(socket.create_connection(address(service), 10)) as connection, closing(other):
        other.execute("BEGIN IMMEDIATE")  # no commit until this ends
        head = f"POST /csp/reports?key={service.browser_key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(REPORT)}\r\n\r\n"
        connection.sendall(head.encode() + REPORT)
        _until(lambda: "1 reports and rows wait" in json.dumps(service.get("/readyz")))
        service.process.send_signal(number)
        _until(lambda: not _listens(service))
        other.execute("ROLLBACK")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert service.process.wait(30) == 0

    service.start()
    assert service.get("/api/v2/csp/violations")["results"][0]["count"] == 1


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 4  # the store gives up on a lock after 5 s
    while not condition():
        assert time.monotonic() < deadline


def _listens(service: Service) -> bool:
    try:
        with closing(socket.create_connection(address(service), 10)):
            return True
    except ConnectionError:
        return False


@pytest.mark.slow
def test_nothing_secret_is_logged(tmp_path: Path) -> None:
    """With every line logged, in both formats, no key, token or query string is in any log or output, failing requests too."""
    human, machine = tmp_path / "human.log", tmp_path / "machine.log"
    options = {"CODER_VERBOSE": "true", "CODER_LOGGING_HUMAN": str(human), "CODER_LOGGING_JSON": str(machine)}
    with run_service(tmp_path, **options) as service:
        token, browser, feed = service.admin_token, service.browser_key, service.feed_key
        basic = base64.b64encode(f"x:{feed}".encode()).decode()
        feeds = "/api/v2/ingest/agent-stats"
        for key in (browser, feed, "querymark" * 4):
            for path in (
                "/csp/reports",
                "//csp/reports",
                "/api/v2/csp/reports",
                "/nowhere",
                feeds,
                "///",
                "/%00",
                "/static/x/y",
            ):
                for method in ("POST", "GET", "DELETE"):
                    asked(service, method, f"{path}?key={key}&mark=querymark")
            say(
                service,
                f"POST /csp/reports?key={key}&mark=querymark HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode(),
            )
            say(service, f"GET http://u:querymark@x/csp/reports?key={key} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            say(service, f"GET /csp/reports?key={key} HTTP/9.9\r\n\r\n".encode())
            say(service, f"GET /csp/reports?key={key} querymark HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            say(service, f"GET /csp/reports?key={key} HTTP/1.1\r\nHost: x\r\nContent-Length: {key}\r\n\r\n".encode())
            say(service, f"GET / HTTP/1.1\r\nHost: x\r\nBad Header: {key}\r\n\r\n".encode())
        for headers in (
            {"Coder-Session-Token": token},
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {feed}"},
            {"Authorization": f"Basic {basic}"},
            {"Cookie": f"coder_session_token={token}"},
            {"Authorization": "Bearer querymark"},
        ):
            for path in ("/deployment/stats", "/nowhere", feeds, "/api/v2/csp/violations?limit=querymark"):
                asked(service, "POST", path, **headers)
                asked(service, "GET", path, **headers)
        asked(service, "GET", f"/deployment/stats?coder_session_token={token}&mark=querymark")
        service.stop()
        printed = "\n".join(line for line in service.log.splitlines() if "Content-Security-Policy" not in line)

    secrets = (token, token.partition("-")[2], browser, feed, basic, "querymark")
    for text in (human.read_text(), machine.read_text(), printed):
        assert not [line for line in text.splitlines() for secret in secrets if secret in line]
    for text in (human.read_text(), machine.read_text()):
        assert "request handled" in text
    assert all(json.loads(line)["msg"] for line in machine.read_text().splitlines())


@pytest.mark.slow
def test_the_admin_token_may_be_given(tmp_path: Path) -> None:
    """COLLECTOR_ADMIN_TOKEN_FILE holds the token of the first start, white space around it does not count."""
    given = "a1b2c3d4e5-" + "k" * 22
    file = tmp_path / "token"
    file.write_text(f"{given}\n")
    with run_service(tmp_path, COLLECTOR_ADMIN_TOKEN_FILE=str(file)) as service:
        assert asked(service, "GET", "/api/v2/csp/violations", **{"Coder-Session-Token": given}) == 200


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, b"too short", b"\xff\xfe"], ids=["missing", "no token", "no text"])
def test_an_admin_token_file_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    """It is misuse: one line that names the option, exit code 2, and nothing of its content is shown."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    ended = serve_and_fail(tmp_path / "data", COLLECTOR_ADMIN_TOKEN_FILE=str(file))

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "too short" not in ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("option", ["CODER_HTTP_ADDRESS", "CODER_PROMETHEUS_ADDRESS"])
def test_a_taken_port(tmp_path: Path, option: str) -> None:
    """A port that is taken is one line and exit code 2, and the first start's secrets are not lost with it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = serve_and_fail(tmp_path / "data", **{option: port})

    assert ended.returncode == 2
    assert not [line for line in ended.stderr.splitlines()[:-1] if "path=" not in line]  # where the secrets are
    assert ended.stderr.splitlines()[-1:] == [f"collector: {option}: cannot listen on {port}: Address already in use"]
    with run_service(tmp_path) as service:  # which reads the secrets of the failed start
        assert service.get("/api/v2/csp/violations")["count"] == 0


@pytest.mark.slow
def test_a_database_out_of_reach(tmp_path: Path) -> None:
    """A PostgreSQL that nobody serves is one line without the password, not a traceback."""
    url = f"postgres://me:hidden@127.0.0.1:{free_port()}/x"

    ended = serve_and_fail(tmp_path / "data", CODER_PG_CONNECTION_URL=url)

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("collector: ")
    assert "hidden" not in ended.stdout + ended.stderr


def test_tls(tmp_path: Path) -> None:
    """With a certificate and a key the service answers over HTTPS."""
    authority, port = Authority(tmp_path), free_port()
    pair = authority.pair("one")
    tls = {
        "CODER_TLS_ENABLE": "true",
        "CODER_TLS_ADDRESS": f"127.0.0.1:{port}",
        "CODER_TLS_CERT_FILE": str(pair.certificate),
        "CODER_TLS_KEY_FILE": str(pair.key),
    }
    with run_service(tmp_path, **tls) as service:
        url = f"https://127.0.0.1:{port}/csp/reports?key={service.browser_key}"
        trusting = ssl.create_default_context(cafile=str(authority.file))
        with urllib.request.urlopen(urllib.request.Request(url, REPORT), context=trusting, timeout=10) as response:
            assert (response.status, response.read()) == (200, b'"ok"\n')
        assert service.get("/api/v2/csp/violations")["count"] == 1
        assert f"  Open      https://127.0.0.1:{port}/\n" in service.log
        assert f'  Reporting-Endpoints: csp="{url}"\n' in service.log


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["certificate", "key"])
def test_a_certificate_that_cannot_be_used(tmp_path: Path, wrong: str) -> None:
    """A file that is no certificate, and the key of another, are one line that names them, exit code 2, and no first start."""
    authority = Authority(tmp_path)
    pair, other = authority.pair("one"), authority.pair("two")
    if wrong == "certificate":
        pair.certificate.write_text("no certificate")
    tls = {"CODER_TLS_ENABLE": "true", "CODER_TLS_ADDRESS": f"127.0.0.1:{free_port()}"}
    files = {"CODER_TLS_CERT_FILE": str(pair.certificate), "CODER_TLS_KEY_FILE": str(other.key)}

    ended = serve_and_fail(tmp_path / "data", **tls, **files)

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(f"collector: CODER_TLS_CERT_FILE: cannot use '{pair.certificate}' with the key")
    assert not (tmp_path / "data" / "collector.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["CODER_TLS_CERT_FILE", "CODER_TLS_KEY_FILE"])
def test_a_missing_file_is_that_of_its_option(tmp_path: Path, missing: str) -> None:
    """Whichever file of a pair is not there, it is that option which is named."""
    file = tmp_path / "there.pem"
    file.write_text("something")
    tls = {"CODER_TLS_ENABLE": "true", "CODER_TLS_ADDRESS": f"127.0.0.1:{free_port()}"}
    files = {"CODER_TLS_CERT_FILE": str(file), "CODER_TLS_KEY_FILE": str(file), missing: str(tmp_path / "gone.pem")}

    ended = serve_and_fail(tmp_path / "data", **tls, **files)

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"collector: {missing}: cannot read {tmp_path}/gone.pem: No such file or directory"
