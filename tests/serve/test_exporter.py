"""/metrics: what Prometheus reads is well-formed, complete, and never falls."""

from __future__ import annotations

import itertools
import json
import subprocess
import urllib.request
import uuid
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from collector.http.appkeys import DEPLOYMENT, NOW, STORE, WRITER
from collector.persist.tables import csp_totals
from collector.rollup.retention import Retentions, purge
from collector.serve.exporter import EXPORTER
from collector.serve.exposition import Format
from collector.wire.csp import DIRECTIVES
from tests.exposed import well_formed
from tests.inside import Inside, running
from tests.postgres import PostgresServer
from tests.requirements import program
from tests.rollup.rows import add_project
from tests.serve.coder_state import everything_of_coder
from tests.serve.state import ready
from tests.service import Service, run_service
from tests.test_journey import REPORT, STATS

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
    service.counted()


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
    name = f'collector_deployment_connection_latency_seconds{{deployment="{inside.app[DEPLOYMENT]}",percentile="50"}}'
    await ready(inside)
    assert name not in await inside.metrics()

    ids = {key: str(uuid.uuid4()) for key in ("agent_id", "workspace_id", "user_id", "template_id")}
    assert (await inside.post("/api/v2/ingest/agent-stats", json.dumps([{**ids, "stats": STATS}]), **inside.feed))[0] == 200
    await inside.roll_up()
    assert (await inside.metrics())[name] == 0.0125


async def test_retention_lowers_no_counter(inside: Inside) -> None:
    """When all rows have grown too old and are gone, the counters of reports are where they were."""
    body = json.dumps([REPORT, 7])
    assert await inside.post(inside.csp_path, body) == (200, "ok")
    before = {name: value for name, value in (await inside.counted()).items() if name.startswith(CSP_SUMS)}

    await purge(inside.app[WRITER].write, Retentions(), now=inside.app[NOW]() + 3 * YEAR_MS)

    assert (await inside.get("/api/v2/csp/violations?noise=include"))["count"] == 0
    after = {name: value for name, value in (await inside.counted()).items() if name.startswith(CSP_SUMS)}
    assert len(before) == 2
    assert after == before


@pytest.mark.slow
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


async def text_at(inside: Inside, path: str, **headers: str) -> str:
    """What the Prometheus listener serves at ``path``."""
    async with inside.client.get(inside.prometheus_url.removesuffix("/metrics") + path, headers=headers) as response:
        assert response.status == 200
        return await response.text()


def series_of(text: str) -> set[str]:
    """The series of an exposition, by name and labels."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def families_of(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


async def test_the_halves_make_the_whole(tmp_path: Path) -> None:
    """No family is in both halves, and together they have every series: adding replicas up counts nothing twice."""
    options = {"COLLECTOR_CODER_METRICS": "true", "CODER_PROMETHEUS_COLLECT_AGENT_STATS": "true"}
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, **options) as inside:
        await inside.post(inside.csp_path, json.dumps(REPORT))
        await ready(inside)
        await everything_of_coder(inside)
        for _ in range(2):  # a first request to a path makes a series of its own
            whole, deployment, replica = [await text_at(inside, f"/metrics{half}") for half in ("", "/deployment", "/replica")]

    assert families_of(deployment) & families_of(replica) == set()
    assert series_of(deployment) | series_of(replica) == series_of(whole)
    assert len(series_of(deployment)) + len(series_of(replica)) == len(series_of(whole))
    assert "collector_csp_reports_total" in families_of(deployment)
    assert "coderd_agentstats_rx_bytes" in families_of(deployment)
    assert "agent_scripts_executed_total" in families_of(replica)
    assert "collector_queue_reports" in families_of(replica)


async def test_the_halves_need_a_token_on_the_ordinary_address(inside: Inside) -> None:
    """As the whole does."""
    for path in ("/metrics", "/metrics/deployment", "/metrics/replica"):
        async with inside.client.get(path) as response:
            assert response.status == 401
        async with inside.client.get(path, headers=inside.owner) as response:
            assert response.status == 200


async def test_it_is_compressed_for_who_can_read_that(inside: Inside) -> None:
    """Gzip for who names it, in both formats; nothing else is done to it."""
    await ready(inside)
    for accepted in ("text/plain", "application/openmetrics-text"):
        headers = {"Accept": accepted, "Accept-Encoding": "gzip"}
        async with inside.client.get(f"{inside.prometheus_url}/deployment", headers=headers) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept, Accept-Encoding"
            compressed = await response.text()  # the client inflates it
        async with inside.client.get(
            f"{inside.prometheus_url}/deployment", headers={**headers, "Accept-Encoding": "gzip;q=0"}
        ) as response:
            assert "Content-Encoding" not in response.headers
            assert series_of(await response.text()) == series_of(compressed) != set()


@pytest.mark.parametrize("format_", Format)
async def test_many_projects_are_one_scrape(inside: Inside, format_: Format) -> None:
    """Of 60 projects with every directive a scrape has a bounded number of series, and every report is in one of them."""

    def many(connection: Connection) -> None:
        for number in range(60):
            project = add_project(connection, f"project-{number}")
            rows = itertools.product(sorted(DIRECTIVES), ("enforce", "report"), ("", "localhost"))
            keys = ("effective_directive", "disposition", "noise_class")
            counted = [{"project_id": project, "count": 1, **dict(zip(keys, row, strict=True))} for row in rows]
            connection.execute(insert(csp_totals), counted)

    await inside.app[STORE].transact(many)
    await inside.roll_up()
    async with inside.client.get(inside.prometheus_url, headers={"Accept": format_.value}) as response:
        found = well_formed(await response.text(), format_)
    series = found["collector_csp_reports"]
    assert sum(series.values()) == 60 * len(DIRECTIVES) * 4
    assert len(series) < 60 * len(DIRECTIVES) * 4
    left_out = found["collector_metric_series_left_out"]
    assert left_out['{metric="collector_csp_reports_total"}'] == 60 * len(DIRECTIVES) * 4 - len(series) > 0


async def test_what_has_not_changed_is_not_rendered_again(inside: Inside) -> None:
    """Between two snapshots every scrape gets the same bytes; a report that was counted since is in those of the next."""
    await ready(inside)
    exporter = inside.app[EXPORTER]
    assert exporter.rendered is not None
    at = exporter.rendered.at
    first = await exporter.answer(at, None, Format.TEXT, compressed=False)
    await inside.post(inside.csp_path, json.dumps(REPORT))
    assert await exporter.answer(at, None, Format.TEXT, compressed=False) == first
    await inside.roll_up()
    assert 'collector_csp_reports_total{directive="script-src-elem"' in await text_at(inside, "/metrics/deployment")
