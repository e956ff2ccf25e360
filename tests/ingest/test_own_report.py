"""Agents that report by themselves, as Coder's agents do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from collector.http.appkeys import AGENT_METRICS, NOW, SNAPSHOTS
from collector.rollup.agentmetrics import EXPIRE_MS, SERIES_OF_AN_AGENT, AgentMetrics
from collector.wire.agentstats import AgentMetric, MetricLabel
from collector.wire.identity import Agent
from tests.ingest.test_telemetry import refreshed
from tests.inside import Inside, running

PATH = "/api/v2/workspaceagents/me/report-stats"
INTERVAL = {"report_interval": 30_000_000_000}
AGENT = Agent("a", "d", "w", "u", "t")
REPORT = {
    "connections_by_proto": {"TCP": 3, "UDP": 1},
    "connection_count": 4,
    "connection_median_latency_ms": 12.5,
    "rx_packets": 120,
    "rx_bytes": 65536,
    "tx_packets": 300,
    "tx_bytes": 262144,
    "session_count_vscode": 1,
    "session_count_jetbrains": 0,
    "session_count_reconnecting_pty": 0,
    "session_count_ssh": 1,
    "metrics": [
        {"name": "reachable_peers", "type": "gauge", "value": 1, "labels": [{"name": "connection_type", "value": "p2p"}]},
        {"name": "pty_connections_total", "type": "counter", "value": 2},
    ],
}


async def new_agent(inside: Inside, **changes: str) -> Any:
    """What making an agent answers."""
    asked = {"workspace": "billing", "user": "grace", "template": "docker", "name": "main"} | changes
    status, made = await inside.post("/api/v2/agents", json.dumps(asked), **inside.owner)
    assert status == 201, made
    return made


async def report(inside: Inside, token: str, body: Any) -> tuple[int, Any]:
    """Status and answer of an agent's report."""
    return await inside.post(PATH, json.dumps(body), **{"Coder-Session-Token": token})


async def test_a_report_counts(inside: Inside) -> None:
    """An agent's own report is in the stats, each time it is sent, and is answered with the interval in nanoseconds."""
    token = (await new_agent(inside))["token"]

    for _ in range(2):
        assert await report(inside, token, REPORT) == (200, INTERVAL)
    await refreshed(inside)

    stats = await inside.get("/deployment/stats")
    assert stats["workspaces"]["rx_bytes"] == 2 * 65536
    assert stats["session_count"] == {"vscode": 1, "ssh": 1, "jetbrains": 0, "reconnecting_pty": 0}


async def test_asking_for_the_interval_stores_nothing(inside: Inside) -> None:
    """Without connections by protocol, or with null for them, an agent only asks for the interval."""
    token = (await new_agent(inside))["token"]
    for body in ({}, {"connections_by_proto": None, "rx_bytes": 5}, {"rx_bytes": 5}):
        assert await report(inside, token, body) == (200, INTERVAL)
    await refreshed(inside)

    assert (await inside.get("/deployment/stats"))["workspaces"]["rx_bytes"] == 0


async def test_one_workspace_by_its_name(inside: Inside) -> None:
    """Agents of one workspace's name are of one workspace, and an UUID is taken as it is."""
    known = "B2F3C1F0-0001-4C1E-9E0B-6A2A3C9D0001"

    assert (await new_agent(inside))["workspace_id"] == (await new_agent(inside, name="second"))["workspace_id"]
    assert (await new_agent(inside, workspace=known))["workspace_id"] == known.lower()


@pytest.mark.parametrize("token", ["", "x", "b2f3c1f0-0001-4c1e-9e0b-6a2a3c9d0001", "a" * 10 + "-" + "b" * 22])
async def test_whoever_is_no_agent_is_refused(standing: Inside, token: str) -> None:
    """No token, one of another form, and one that nobody has are 401; so is an owner's."""
    assert (await report(standing, token, REPORT))[0] == 401
    assert (await report(standing, standing.secrets.token, REPORT))[0] == 401


async def test_a_report_for_another_deployment(inside: Inside) -> None:
    """An agent of another deployment makes that one known, and it answers when it is asked for."""
    token = (await new_agent(inside, deployment="d-2"))["token"]
    await report(inside, token, REPORT)
    await refreshed(inside)

    assert set(inside.app[SNAPSHOTS].of) > {"d-2"}
    assert (await inside.get("/deployment/stats?deployment=d-2"))["workspaces"]["tx_bytes"] == 262144


async def test_metrics_are_kept_for_two_minutes(inside: Inside) -> None:
    """The newest metrics of an agent replace those before, and go when it is silent."""
    token = (await new_agent(inside))["token"]
    await report(inside, token, REPORT)
    await report(inside, token, REPORT)
    kept, now = inside.app[AGENT_METRICS], inside.app[NOW]()

    [(agent, series)] = kept.current(now)
    assert agent.agent_name == "main"
    assert [(one.name, one.type, one.labels, one.value) for one in series] == [
        ("reachable_peers", "gauge", (("connection_type", "p2p"),), 1.0),
        ("pty_connections_total", "counter", (), 2.0),
    ]
    assert kept.current(now + EXPIRE_MS + 1) == []


async def test_asking_for_the_interval_forgets_nothing(inside: Inside) -> None:
    """An agent that has connected anew asks for the interval alone; its metrics stand."""
    token = (await new_agent(inside))["token"]
    await report(inside, token, REPORT)
    await report(inside, token, {"connections_by_proto": None})

    assert len(inside.app[AGENT_METRICS].current(inside.app[NOW]())) == 1


async def test_metrics_do_not_name_a_user_either(tmp_path: Path) -> None:
    """With a pseudonym in place of who somebody is, the metrics of an agent have no user name."""
    async with running("sqlite", tmp_path, COLLECTOR_USER_IDENTITY="pseudonym") as inside:
        await report(inside, (await new_agent(inside))["token"], REPORT)
        [(agent, _)] = inside.app[AGENT_METRICS].current(inside.app[NOW]())

    assert (agent.agent_name, agent.username) == ("main", None)


@pytest.mark.parametrize(
    "metric",
    [
        AgentMetric("bad name", "gauge", 1.0),
        AgentMetric("__own", "gauge", 1.0),
        AgentMetric("a", "histogram", 1.0),
        AgentMetric("a", "gauge", float("nan")),
        AgentMetric("a", "gauge", 1.0, [MetricLabel("username", "x")]),
        AgentMetric("a", "gauge", 1.0, [MetricLabel("l", "x"), MetricLabel("l", "y")]),
        AgentMetric("a", "gauge", 1.0, [MetricLabel("l", "x" * 200)]),
        AgentMetric("taken", "gauge", 2.0),
        AgentMetric("taken", "counter", 2.0),
    ],
)
def test_a_series_that_would_break_a_scrape_is_left_out(metric: AgentMetric) -> None:
    """Names, types, values and labels that Prometheus would not take, or that say whose it is, and a series twice."""
    kept = AgentMetrics()
    kept.put(AGENT, [AgentMetric("taken", "gauge", 1.0), metric], now=0)

    assert [[one.value for one in series] for _, series in kept.current(0)] == [[1.0]]


def test_agents_are_bounded_together() -> None:
    """The one that has been silent for longest makes room, and its series count as dropped."""
    reason = {"reason": "too_many"}
    before = REGISTRY.get_sample_value("collector_agent_metrics_dropped_total", reason) or 0
    kept = AgentMetrics(most=3)
    for at in range(2):
        agent = msgspec.structs.replace(AGENT, agent_id=f"a{at}")
        kept.put(agent, [AgentMetric("m", "gauge", 1.0), AgentMetric("n", "gauge", 1.0)], now=at)

    assert [agent.agent_id for agent, _ in kept.current(1)] == ["a1"]
    assert REGISTRY.get_sample_value("collector_agent_metrics_dropped_total", reason) == before + 2


def test_series_are_bounded() -> None:
    """One agent has a bounded number of series."""
    kept = AgentMetrics()
    kept.put(AGENT, [AgentMetric(f"m{at}", "gauge", 1.0) for at in range(2 * SERIES_OF_AN_AGENT)], now=0)

    assert [len(series) for _, series in kept.current(0)] == [SERIES_OF_AN_AGENT]
