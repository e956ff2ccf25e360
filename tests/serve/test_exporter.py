"""/metrics: what Prometheus reads is well-formed, complete, and never falls."""

from __future__ import annotations

import json
import subprocess
import urllib.request
import uuid
from pathlib import Path

import pytest

from collector.http.appkeys import NOW, WRITER
from collector.rollup.retention import Retentions, purge
from tests.inside import Inside
from tests.postgres import PostgresServer
from tests.requirements import program
from tests.serve.state import ready
from tests.service import Service, run_service
from tests.test_journey import REPORT, STATS, rolled_up

YEAR_MS = 365 * 86_400_000
CSP_SUMS = ("collector_csp_reports_total", "collector_csp_dropped_reports_total")
FAMILIES = {
    "collector_csp_reports_total",
    "collector_csp_dropped_reports_total",
    "collector_other_reports_total",
    "collector_deployment_workspaces",
    "collector_deployment_sessions",
    "collector_deployment_connection_latency_seconds",
    "collector_deployment_rx_bytes",
    "collector_deployment_tx_bytes",
    "collector_http_requests_total",
    "collector_job_age_seconds",
    "collector_job_duration_seconds",
    "collector_queue_reports",
}


def post(service: Service, path: str, body: object, **headers: str) -> None:
    request = urllib.request.Request(service.url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def data_of_every_kind(service: Service) -> None:
    """A report, dropped ones, one that is not about CSP, an agent, a workspace; returns once they are in the metrics."""
    csp, feed = f"/csp/reports?key={service.browser_key}", {"Authorization": f"Bearer {service.feed_key}"}
    post(service, csp, REPORT)
    post(
        service,
        csp,
        [{"type": "deprecation", "age": 1, "url": "https://shop.example/", "body": {"id": "x"}}, 7, {"csp-report": {}}],
    )
    ids = {key: str(uuid.uuid4()) for key in ("agent_id", "workspace_id", "user_id", "template_id")}
    post(service, "/api/v2/ingest/agent-stats", [{**ids, "stats": STATS}], **feed)
    workspace = {"id": "w", "name": "w", "owner_id": "u", "template_id": "t", "deleted": False, "latest_build": None}
    post(service, "/api/v2/ingest/workspaces", [workspace], **feed)
    while 'collector_deployment_connection_latency_seconds{percentile="95"}' not in service.metrics():
        pass


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_promtool_finds_nothing(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """With data of every kind every family is there, and promtool has nothing to say about any of them."""
    promtool, options = program("promtool"), {}
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        options["CODER_PG_CONNECTION_URL"] = server.fresh_url()
    with run_service(tmp_path, **options) as service:
        data_of_every_kind(service)
        text = service.metrics()

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert {line.partition("{")[0].partition(" ")[0] for line in text.splitlines() if line} >= FAMILIES


async def test_the_format_is_the_one_asked_for(inside: Inside) -> None:
    """OpenMetrics for who asks for it, the text format for who does not, each with its own type; on both listeners."""
    wanted = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    for url in (inside.prometheus_url, "/metrics"):
        async with inside.client.get(url, headers={"Accept": wanted, **inside.owner}) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
            assert (await response.text()).endswith("# EOF\n")
        async with inside.client.get(url, headers=inside.owner) as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            assert "# EOF" not in await response.text()


async def test_latency_comes_and_goes(inside: Inside) -> None:
    """The latency metric is absent until an agent reports one, and then is in seconds."""
    name = 'collector_deployment_connection_latency_seconds{percentile="50"}'
    await ready(inside)
    assert name not in await inside.metrics()

    ids = {key: str(uuid.uuid4()) for key in ("agent_id", "workspace_id", "user_id", "template_id")}
    assert (await inside.post("/api/v2/ingest/agent-stats", json.dumps([{**ids, "stats": STATS}]), **inside.feed))[0] == 200
    await rolled_up(inside)
    assert (await inside.metrics())[name] == 0.0125


async def test_retention_lowers_no_counter(inside: Inside) -> None:
    """When all rows have grown too old and are gone, the counters of reports are where they were."""
    body = json.dumps([REPORT, 7])
    assert await inside.post(inside.csp_path, body) == (200, "ok")
    before = {name: value for name, value in (await inside.metrics()).items() if name.startswith(CSP_SUMS)}

    await purge(inside.app[WRITER].write, Retentions(), now=inside.app[NOW]() + 3 * YEAR_MS)

    assert (await inside.get("/api/v2/csp/violations?noise=include"))["count"] == 0
    after = {name: value for name, value in (await inside.metrics()).items() if name.startswith(CSP_SUMS)}
    assert len(before) == 2
    assert after == before


def test_a_restart_lowers_no_counter(tmp_path: Path) -> None:
    """After a restart the counters of reports are where they were."""

    def sums(service: Service) -> list[str]:
        sums = (*CSP_SUMS, "collector_other_")
        return [line for line in service.metrics().splitlines() if line.startswith(sums)]

    with run_service(tmp_path) as service:
        data_of_every_kind(service)
        before = sums(service)
        service.restart()
        assert len(before) == 4
        assert sums(service) == before
