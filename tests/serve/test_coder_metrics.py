"""Metrics under Coder's names, as promtool, a real Prometheus and Coder's dashboards find them."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.http.appkeys import AGENT_METRICS, NOW, SCHEDULE
from collector.serve.coder_families import FAMILIES
from collector.serve.exposition import Format
from collector.serve.families import COLLECTED, OWN
from collector.wire.agentstats import AgentMetric
from collector.wire.clock import wall_clock
from tests.exposed import well_formed
from tests.ingest.test_own_report import REPORT
from tests.inside import Inside, running
from tests.prometheus import run_prometheus
from tests.requirements import program
from tests.serve.coder_state import SENT, WORKSPACES, aibridge_log, everything_of_coder, forwarded
from tests.service import Service, run_service

OPTIONS = {
    "COLLECTOR_CODER_METRICS": "true",
    "CODER_PROMETHEUS_COLLECT_AGENT_STATS": "true",
    "CODER_PROMETHEUS_COLLECT_DB_METRICS": "true",
}
# Coder chose the names, and who asks for them asks for them as they are.
COMPLAINTS = [
    'coderd_agentstats_connection_count non-histogram and non-summary metrics should not have "_count" suffix',
]
WORKSPACE = 'agent_name="main",username="grace",workspace_name="billing"'


async def test_they_are_served_only_when_asked_for(inside: Inside) -> None:
    """By default no metric has a name of Coder's: a Prometheus that scrapes both would count double."""
    assert [name for name in await inside.metrics() if name.startswith("coder")] == []
    assert "agent metrics" not in inside.app[SCHEDULE].facts


@pytest.mark.slow
async def test_every_one_of_them_is_filled(tmp_path: Path) -> None:
    """With an agent that reports and builds that ended there is a series of each family, and the numbers are theirs."""
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, **OPTIONS) as inside:
        await everything_of_coder(inside)
        found = await inside.metrics()

    filled = {family.name + ("_bucket" if family.kind == "histogram" else "") for family in FAMILIES}
    assert filled <= {name.partition("{")[0] for name in found}
    assert found[f"coderd_agentstats_rx_bytes{{{WORKSPACE}}}"] == 65536
    assert found[f"coderd_agentstats_connection_median_latency_seconds{{{WORKSPACE}}}"] == 0.0125
    assert found['coderd_api_workspace_latest_build{status="failed"}'] == 1


async def test_a_user_who_is_not_to_be_known_is_no_label(tmp_path: Path) -> None:
    """With pseudonyms the name is in no metric, not in those either that an agent sends itself."""
    options = OPTIONS | {"COLLECTOR_USER_IDENTITY": "pseudonym"}
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, **options) as inside:
        await everything_of_coder(inside)
        found = await inside.metrics()

    assert any(name.startswith("agent_scripts_executed_total") for name in found)
    assert [name for name in found if 'username="grace"' in name] == []


async def test_an_agent_that_falls_silent_is_gone(tmp_path: Path) -> None:
    """Nothing of the last minute is said again in the next one, and nothing of it stays for ever."""
    moment = 1_768_384_800_000
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, lambda: moment, **OPTIONS) as inside:
        await everything_of_coder(inside)
        assert any(name.startswith("coderd_agentstats_") for name in await inside.metrics())
        moment += 15 * 60_000
        await forwarded(inside)
        await inside.roll_up()
        assert [name for name in await inside.metrics() if name.startswith(("coderd_agent", "agent_"))] == []


def hostile(type_: str) -> list[AgentMetric]:
    """Every name that is spelled like one of ours, or like a sample of one; and some of nobody's."""
    ours = {family.name.removesuffix("_total") for family in (*FAMILIES, *COLLECTED, *OWN)}
    endings = ("", "_total", "_created", "_bucket", "_sum", "_count", "_info")
    spelled = {base + ending for base in (*ours, "x", "", "process_cpu_seconds") for ending in endings}
    return [AgentMetric(name, type_, 1) for name in sorted({*spelled, "up", "ALERTS", "ALERTS_FOR_STATE"})]


@pytest.mark.parametrize("type_", ["gauge", "counter"])
@pytest.mark.parametrize("format_", Format)
async def test_no_agent_can_make_a_scrape_invalid(tmp_path: Path, format_: Format, type_: str) -> None:
    """Whatever names it sends, no family and no series is there twice, and none of ours has a sample of an agent's."""
    async with running(f"sqlite:///{tmp_path / 'collector.db'}", tmp_path, **OPTIONS) as inside:
        await everything_of_coder(inside)
        (agent, _), *_ = inside.app[AGENT_METRICS].current(inside.app[NOW]())
        sent = hostile(type_)
        for start in range(0, len(sent), 200):
            its = msgspec.structs.replace(agent, agent_id=f"hostile-{start}", agent_name=f"hostile-{start}")
            inside.app[AGENT_METRICS].put(its, sent[start : start + 200], now=inside.app[NOW]())
        await forwarded(inside)
        async with inside.client.get(inside.prometheus_url, headers={"Accept": format_.value}) as response:
            found = well_formed(await response.text(), format_)

    theirs = {name for name, samples in found.items() if any("hostile" in labels for labels in samples)}
    assert "x" in theirs
    assert {name for name in theirs if not name.startswith(("x", "_"))} == set()


# ── A real service, promtool and Prometheus ──────────────────────────────────────────────────────────────────────────
def post(service: Service, path: str, body: Any, **headers: str) -> Any:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(service.url + path, sent, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@contextmanager
def service_with_everything(tmp_path: Path) -> Iterator[Service]:
    """A service with the option on, that has something to say under each of Coder's names."""
    with run_service(tmp_path, **OPTIONS) as service:
        owner, feed = {"Coder-Session-Token": service.admin_token}, {"Authorization": f"Bearer {service.feed_key}"}
        asked = {"workspace": "billing", "user": "grace", "template": "docker", "name": "main"}
        agent = {"Coder-Session-Token": post(service, "/api/v2/agents", asked, **owner)["token"]}
        post(service, "/api/v2/ingest/workspaces", WORKSPACES, **feed)
        post(service, "/api/v2/ingest/aibridge", aibridge_log(wall_clock()), **feed)
        post(service, "/api/v2/workspaceagents/me/report-stats", {**REPORT, "metrics": SENT}, **agent)
        deadline = time.monotonic() + 60
        while "agent_scripts_executed_total" not in service.metrics() or "coderd_agents_up" not in service.metrics():
            assert time.monotonic() < deadline, service.log
            time.sleep(0.1)  # the schedule is that of another process
        yield service


@pytest.mark.slow
def test_promtool_complains_of_coders_names_alone(tmp_path: Path) -> None:
    """With every family filled promtool says just what is known of Coder's names, and nothing of ours."""
    promtool = program("promtool")
    with service_with_everything(tmp_path) as service:
        text = service.metrics()
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.stdout + checked.stderr).splitlines() == COMPLAINTS


# What Coder's published dashboards ask of these metrics, panel by panel: the workspaces, the detail of one, and the status.
PANELS = [
    (
        "sum(max by (workspace_owner, template_name, template_version) ("
        'coderd_workspace_latest_build_status{status="succeeded",workspace_transition="start"}))'
    ),
    "count by (template_name, template_version, workspace_owner) (coderd_workspace_latest_build_status)",
    'sum by (status) (coderd_workspace_builds_total{workspace_transition="START"})',
    'sum(coderd_workspace_builds_total{status="failed"}) / sum(coderd_workspace_builds_total)',
    'coderd_workspace_builds_total{workspace_transition="STOP"} - coderd_workspace_builds_total offset 1s',
    'sum by (workspace_transition) (increase(coderd_workspace_builds_total{status="success"}[1m]))',
    'group by (template_name, template_version, username) (coderd_agents_up{workspace_name="billing"})',
    'sum by (lifecycle_state) (coderd_agents_connections{workspace_name="billing"})',
    'sum by (__name__) ({__name__=~"coderd_agentstats_session_count_.*",workspace_name="billing"})',
    'sum_over_time(coderd_agentstats_rx_bytes{workspace_name="billing"}[1m])',
    'sum_over_time(coderd_agentstats_tx_bytes{workspace_name="billing"}[1m])',
    'coderd_agentstats_startup_script_seconds{workspace_name="billing",success="true"}',
    'coderd_agentstats_connection_median_latency_seconds{username="grace"} > 0',
    'coderd_agentstats_currently_reachable_peers{connection_type="p2p"}',
    'coderd_api_workspace_latest_build{status="failed"} > 0',
    "histogram_quantile(0.95, sum by (le) (rate(coderd_db_query_latencies_seconds_bucket[1m])))",
    # No dashboard of Coder's asks for these; who has them asks so.
    'sum by (provider, model) (rate(coder_aibridged_tokens_total{type=~"input|output"}[1m]))',
    'sum by (initiator_id) (coder_aibridged_interceptions_total{status!="failed"})',
    "histogram_quantile(0.95, sum by (le, model) (coder_aibridged_interceptions_duration_seconds_bucket)) > 2",
    'coder_aibridged_injected_tool_invocations_total{server="https://mcp.example/",name="search"} == 1',
]


@pytest.mark.slow
def test_coders_dashboards_find_what_they_ask_for(tmp_path: Path) -> None:
    """A real Prometheus takes them in OpenMetrics, and no panel about agents' stats or builds is empty."""
    with (
        service_with_everything(tmp_path / "service") as service,
        run_prometheus(tmp_path / "prometheus", {"coder": service.prometheus_url}) as prometheus,
    ):
        prometheus.wait_for_scrapes("coder", 4)
        empty = [panel for panel in PANELS if not prometheus.query(panel)]
        (described,) = prometheus.api("metadata", metric="coderd_workspace_builds")["coderd_workspace_builds"]

    assert empty == []
    assert described["type"] == "counter"
