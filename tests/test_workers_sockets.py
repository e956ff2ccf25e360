"""``serve --workers`` on sockets of a supervisor and over HTTPS: every process accepts there."""

from __future__ import annotations

import http.client
import ssl
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.cli.test_systemd import hand_over, listener
from tests.postgres import free_port
from tests.service import Service, environment
from tests.test_kill import report
from tests.test_workers import (
    CONNECTIONS,
    assert_both_accepted,
    connections,
    crewed,
    descriptors,
    listens,
    said,
    until,
)


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
            before = descriptors(service)
            for number, each in enumerate(connections(service)):
                stack.enter_context(closing(each))
                assert said(each, "POST", f"/csp/reports?key={service.browser_key}", report(number))[0] == 200
            assert_both_accepted(service, before)
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
    with crewed(tmp_path, **tls) as service, ExitStack() as stack:
        before = descriptors(service)
        for number in range(CONNECTIONS):
            each = stack.enter_context(closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trusting)))
            assert said(each, "POST", f"/csp/reports?key={service.browser_key}", report(number))[0] == 200
            each.request("GET", "/")
            with each.getresponse() as answer:
                assert answer.headers["Strict-Transport-Security"] == "max-age=3600"  # the scheme is the client's
                answer.read()
        assert_both_accepted(service, before)
        assert service.answers("POST", status="200") == CONNECTIONS
