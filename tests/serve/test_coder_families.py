"""Metrics under Coder's names, and the faults of Coder's own that they have not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from collector.rollup.agentmetrics import Series
from collector.rollup.coder_metrics import AgentMinute, BuildTotal, CoderMoment, LatestBuild, Newest, TemplateUse
from collector.serve.coder_families import Wanted, capped, deployment_series, forwarded_series
from collector.serve.exposition import Sampled
from collector.wire.identity import Agent

ALL = ("agent_name", "template_name", "username", "workspace_name")
WHOSE = '{agent_name="main",username="grace",workspace_name="billing"}'


def agent(**changes: Any) -> AgentMinute:
    newest = Newest(3, 0.0125, (1, 0, 2, 0))
    plain = AgentMinute("main", "grace", "billing", "docker", connected=True, rx_bytes=10, tx_bytes=20, newest=newest)
    return msgspec.structs.replace(plain, **changes)


def samples(made: Sequence[Sampled]) -> dict[str, float]:
    return {one.family.name + labels: value for one in made for labels, value in one.samples.items()}


def stats(*agents: AgentMinute, by: tuple[str, ...] = ALL) -> dict[str, float]:
    """What is said of ``agents`` in coderd_agentstats_*."""
    made = deployment_series(CoderMoment(agents=agents), Wanted(agent_stats=True, by=by))
    found = samples(made).items()
    return {name.removeprefix("coderd_agentstats_"): value for name, value in found if name.startswith("coderd_agentstats_")}


def test_an_agent_is_told_by_name_user_and_workspace() -> None:
    """With all four labels; that of the template is none of these metrics', as with Coder."""
    assert stats(agent()) == {
        f"tx_bytes{WHOSE}": 20,
        f"rx_bytes{WHOSE}": 10,
        f"connection_count{WHOSE}": 3,
        f"connection_median_latency_seconds{WHOSE}": 0.0125,
        f"session_count_vscode{WHOSE}": 1,
        f"session_count_jetbrains{WHOSE}": 0,
        f"session_count_reconnecting_pty{WHOSE}": 2,
        f"session_count_ssh{WHOSE}": 0,
    }


def test_by_fewer_labels_all_are_added_up() -> None:
    """Not the last agent's connections and sessions for those of all; of latencies the median."""
    some = [
        agent(workspace_name=name, newest=Newest(2, latency, (1, 0, 0, 0)))
        for name, latency in zip("abc", (1, 9, 2), strict=True)
    ]
    found = stats(*some, by=("username", "username"))
    user = '{username="grace"}'
    assert (found[f"connection_count{user}"], found[f"session_count_vscode{user}"], found[f"tx_bytes{user}"]) == (6, 3, 60)
    assert found[f"connection_median_latency_seconds{user}"] == 2


def test_by_no_label_of_theirs_there_is_one_series() -> None:
    """The template's label alone leaves none; nothing chosen means all."""
    assert stats(agent(), agent(username="ada"), by=("template_name",))["rx_bytes"] == 20
    assert f"rx_bytes{WHOSE}" in stats(agent(), by=())


def test_two_agents_alike_are_one_series() -> None:
    """What would be the same series twice, and would fail the whole scrape, is added up."""
    assert stats(agent(), agent())[f"rx_bytes{WHOSE}"] == 20


def test_a_silent_agent_has_no_numbers() -> None:
    """Without a report in the minute it is in none of coderd_agentstats_*; without a latency, in those of bytes alone."""
    assert stats(agent(rx_bytes=None, tx_bytes=None, newest=None)) == {}
    assert set(stats(agent(newest=None))) == {f"tx_bytes{WHOSE}", f"rx_bytes{WHOSE}"}


def test_agent_stats_are_left_out_unless_they_are_collected() -> None:
    """CODER_PROMETHEUS_COLLECT_AGENT_STATS decides about them and about what agents send, and about nothing else."""
    made = deployment_series(CoderMoment(agents=(agent(),)), Wanted(agent_stats=False, by=ALL))
    assert [one.family.name for one in made] == ["coderd_agents_up", "coderd_agents_connections"]
    assert forwarded_series([(AGENT, (PEERS,))], Wanted(agent_stats=False, by=ALL), user) == []


def test_states_are_said_in_coders_words() -> None:
    """Transitions of the newest builds in lower case, of ended builds in upper case; every status has a series."""
    moment = CoderMoment(
        agents=(agent(connected=False),),
        builds={LatestBuild("succeeded", "docker", "grace", "start"): 2},
        built=(BuildTotal("grace", "billing", "docker", "delete", succeeded=False, builds=4),),
        templates=(TemplateUse("docker", 1, (60, 0, 0, 120)),),
    )
    found = samples(deployment_series(moment, Wanted(agent_stats=False, by=ALL)))
    assert {name: value for name, value in found.items() if value} == {
        'coderd_agents_up{username="grace",workspace_name="billing",template_name="docker",template_version="unknown"}': 1,
        'coderd_agents_connections{agent_name="main",username="grace",workspace_name="billing",status="disconnected",'
        'lifecycle_state="",tailnet_node=""}': 1,
        'coderd_api_workspace_latest_build{status="succeeded"}': 2,
        'coderd_workspace_latest_build_status{status="succeeded",template_name="docker",template_version="unknown",'
        'workspace_owner="grace",workspace_transition="start"}': 2,
        'coderd_workspace_builds_total{workspace_owner="grace",workspace_name="billing",template_name="docker",'
        'template_version="unknown",workspace_transition="DESTROY",status="failed"}': 4,
        'coderd_insights_templates_active_users{template_name="docker"}': 1,
        'coderd_insights_applications_usage_seconds{template_name="docker",application_name="Visual Studio Code",slug=""}': 60,
        'coderd_insights_applications_usage_seconds{template_name="docker",application_name="SSH",slug=""}': 120,
    }
    assert len([name for name in found if name.startswith("coderd_api_workspace_latest_build")]) == 7


# ── What agents send of themselves ───────────────────────────────────────────────────────────────────────────────────
AGENT = Agent("a", "d", "w", "u", "t", "main", "billing", "grace", "docker")
PEERS = Series("coderd_agentstats_currently_reachable_peers", "gauge", (("connection_type", "p2p"),), 2)
FOUR = 'agent_name="main",template_name="docker",username="grace",workspace_name="billing"'


def user(of: Agent) -> str:
    return of.username or of.user_id


def forwarded(*sent: tuple[Agent, tuple[Series, ...]], by: tuple[str, ...] = ALL) -> dict[str, float]:
    return samples(forwarded_series(sent, Wanted(agent_stats=True, by=by), user))


def test_what_an_agent_sends_has_its_labels() -> None:
    """The four that say whose it is, then its own; an empty one is none."""
    empty = Series("agent_scripts_executed_total", "counter", (("script", ""), ("success", "true")), 1)
    assert forwarded((AGENT, (PEERS, empty))) == {
        f'coderd_agentstats_currently_reachable_peers{{{FOUR},connection_type="p2p"}}': 2,
        f'agent_scripts_executed_total{{{FOUR},success="true"}}': 1,
    }


def test_series_that_differ_in_own_labels_stay_apart() -> None:
    """By fewer labels those of several agents are added up, each with its own labels."""
    derp = PEERS._replace(labels=(("connection_type", "derp"),), value=5)
    assert forwarded((AGENT, (PEERS, derp)), (AGENT, (PEERS,)), by=("username",)) == {
        'coderd_agentstats_currently_reachable_peers{username="grace",connection_type="p2p"}': 4,
        'coderd_agentstats_currently_reachable_peers{username="grace",connection_type="derp"}': 5,
    }


@pytest.mark.parametrize(
    "name",
    [
        "collector_csp_reports_total",
        "coderd_agents_up",
        "process_cpu_seconds_total",
        "up",
        "coderd_workspace_builds",
        "coder_aibridged_tokens",
        "coderd_db_query_latencies_seconds_bucket",
        "coderd_agents_up_total",
        "coderd_workspace_builds_created",
        "ALERTS",
        "ALERTS_FOR_STATE",
    ],
)
def test_an_agent_says_nothing_in_our_name(name: str) -> None:
    """What we serve ourselves an agent cannot add to, nor break by a second family of one name."""
    assert forwarded((AGENT, (Series(name, "gauge", (), 1),))) == {}


@pytest.mark.parametrize("name", ["a", "a_created"])
def test_two_kinds_of_one_name_are_one(name: str) -> None:
    """OpenMetrics would have the family twice: the gauge is left out, whichever came first."""
    gauge, counter = Series(name, "gauge", (), 2), Series("a_total", "counter", (), 1)
    assert list(forwarded((AGENT, (gauge, counter)))) == list(forwarded((AGENT, (counter, gauge)))) == [f"a_total{{{FOUR}}}"]


def test_a_family_has_so_many_series_at_most() -> None:
    """The first ones are kept, and how many are missing is counted."""
    made = deployment_series(
        CoderMoment(agents=tuple(agent(username=f"u{n}") for n in range(5))), Wanted(agent_stats=False, by=ALL)
    )
    kept, left_out = capped(made, 3)
    assert [len(one.samples) for one in kept] == [3, 3]
    assert left_out == {"coderd_agents_up": 2, "coderd_agents_connections": 2}
