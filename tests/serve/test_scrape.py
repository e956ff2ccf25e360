"""/metrics as a real Prometheus takes it, in both formats."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.prometheus import run_prometheus
from tests.serve.test_exporter import data_of_every_kind
from tests.service import run_service


@contextmanager
def asking_for_text(url: str) -> Iterator[str]:
    """A way to ``url`` on which nobody asks for OpenMetrics: a Prometheus as it was before it knew that format."""

    class Way(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(url, timeout=10) as answer:
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Way) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


@pytest.mark.slow
def test_a_real_prometheus_takes_it(tmp_path: Path) -> None:
    """In OpenMetrics, which it asks for, and as text; the counters and the snapshot are the same in both."""
    with run_service(tmp_path / "service") as service:
        data_of_every_kind(service)
        with (
            asking_for_text(service.prometheus_url) as as_text,
            run_prometheus(tmp_path / "prometheus", {"openmetrics": service.prometheus_url, "text": as_text}) as prometheus,
        ):
            for job in ("openmetrics", "text"):
                prometheus.wait_for_scrapes(job, 2)
                assert prometheus.value(f'sum(collector_csp_reports_total{{job="{job}"}})') == 1
                assert prometheus.value(f'collector_deployment_workspaces{{job="{job}",status="pending"}}') == 1
            described = {
                (metric["target"]["job"], metric["metric"], metric["type"])
                for job in ("openmetrics", "text")
                for metric in prometheus.api("targets/metadata", match_target=f'{{job="{job}"}}')
            }
    # A family of counters is called without its ending in OpenMetrics: each was read as what it is.
    assert ("openmetrics", "collector_csp_reports", "counter") in described
    assert ("text", "collector_csp_reports_total", "counter") in described
