"""A Coder server's own metrics, with its names, labels and values, as far as what is stored here can fill them.

``docs/compatibility.md`` says where they mean something else, and which are not here. None is served unless it is asked for:
who also scrapes the server would count double.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from collector.rollup.agentmetrics import Series
from collector.rollup.coder_metrics import AgentMinute, CoderMoment, LatestBuild, Newest
from collector.serve.coder_aibridge import FAMILIES as AIBRIDGE
from collector.serve.coder_aibridge import aibridge_series
from collector.serve.exposition import Sampled, labelled
from collector.serve.families import Family
from collector.wire.identity import Agent

UNKNOWN = "unknown"  # what Coder says of a version that it does not know
MOST_SERIES = 20_000  # of a family
WHOSE = ("agent_name", "username", "workspace_name")
WHOSE_TOO = ("agent_name", "template_name", "username", "workspace_name")  # of what agents send of themselves

TX_BYTES = Family("coderd_agentstats_tx_bytes", "Bytes that the agent sent in the last minute.", WHOSE)
RX_BYTES = Family("coderd_agentstats_rx_bytes", "Bytes that the agent received in the last minute.", WHOSE)
CONNECTIONS = Family("coderd_agentstats_connection_count", "Connections at the agent's newest report with a latency.", WHOSE)
LATENCY = Family(
    "coderd_agentstats_connection_median_latency_seconds", "Median latency of the connections; of several agents theirs.", WHOSE
)
VSCODE, JETBRAINS, PTY, SSH = (
    Family(f"coderd_agentstats_session_count_{app}", f"Sessions of {what} at the agent's newest report with a latency.", WHOSE)
    for app, what in (
        ("vscode", "VS Code"),
        ("jetbrains", "JetBrains"),
        ("reconnecting_pty", "the web terminal"),
        ("ssh", "SSH"),
    )
)
AGENT_STATS = (TX_BYTES, RX_BYTES, CONNECTIONS, LATENCY, VSCODE, JETBRAINS, PTY, SSH)

AGENTS_UP = Family(
    "coderd_agents_up",
    "Agents that reported within 15 minutes.",
    ("username", "workspace_name", "template_name", "template_version"),
)
AGENT_CONNECTIONS = Family(
    "coderd_agents_connections",
    "1 for each agent that reported within 15 minutes; connected: within two.",
    ("agent_name", "username", "workspace_name", "status", "lifecycle_state", "tailnet_node"),
)
LATEST_BUILD = Family(
    "coderd_api_workspace_latest_build", "Workspaces by the status of the job of their newest build.", ("status",)
)
LATEST_BUILD_STATUS = Family(
    "coderd_workspace_latest_build_status",
    "The same, with what the workspaces have in common.",
    ("status", "template_name", "template_version", "workspace_owner", "workspace_transition"),
)
BUILDS = Family(
    "coderd_workspace_builds_total",
    "Builds that have ended since the workspace is known here.",
    ("workspace_owner", "workspace_name", "template_name", "template_version", "workspace_transition", "status"),
)
ACTIVE_USERS = Family(
    "coderd_insights_templates_active_users", "Users with a session in the last 5 minutes.", ("template_name",)
)
APP_USE = Family(
    "coderd_insights_applications_usage_seconds",
    "Time for which users had sessions in the last 5 minutes.",
    ("template_name", "application_name", "slug"),
)
QUERIES = Family(
    "coderd_db_query_latencies_seconds",
    "collector_db_query_seconds, where CODER_PROMETHEUS_COLLECT_DB_METRICS is on.",
    ("query",),
    "histogram",
)
STATE = (AGENTS_UP, AGENT_CONNECTIONS, LATEST_BUILD, LATEST_BUILD_STATUS, BUILDS, ACTIVE_USERS, APP_USE)
FAMILIES = (*AGENT_STATS, *STATE, *AIBRIDGE, QUERIES)

# An agent must not say something in our own name, however either format spells its samples, nor in Prometheus's; and the
# counter that is called _total has no name in OpenMetrics.
ENDINGS = ("", "_total", "_created", "_bucket", "_sum", "_count", "_info")
THEIRS = frozenset({"up", "ALERTS", "ALERTS_FOR_STATE", "_total"})
NAMES = THEIRS | {family.name.removesuffix("_total") + ending for family in FAMILIES for ending in ENDINGS}
OURS = ("collector_", "coder_aibridged_", "process_", "python_", "scrape_")
FORWARDED = "Sent by agents; what it means, they know."
STATUSES = ("pending", "running", "succeeded", "canceling", "canceled", "failed", UNKNOWN)
TRANSITIONS = {"start": "START", "stop": "STOP", "delete": "DESTROY"}
APPLICATIONS = ("Visual Studio Code", "JetBrains", "Web Terminal", "SSH")


class Wanted(NamedTuple):
    """What of Coder's metrics is served. ``by`` are the labels that agents are told apart by."""

    agent_stats: bool
    by: tuple[str, ...]

    def labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those of ``labels`` that are kept: all of them when none is chosen."""
        return tuple(label for label in labels if label in self.by or not self.by)


def deployment_series(moment: CoderMoment, wanted: Wanted) -> list[Sampled]:
    """All that ``moment`` says; of families without a series nothing."""
    stats = _agent_stats(moment.agents, wanted.labels(WHOSE)) if wanted.agent_stats else ()
    made = [*stats, *_agents(moment.agents), *_builds(moment), *_insights(moment), *aibridge_series(moment.ai)]
    return [sampled for sampled in made if sampled.samples]


def forwarded_series(
    current: Iterable[tuple[Agent, Sequence[Series]]], wanted: Wanted, username: Callable[[Agent], str]
) -> list[Sampled]:
    """What agents send of themselves. Series that no label tells apart any more are added up."""
    if not wanted.agent_stats:
        return []
    whose = wanted.labels(WHOSE_TOO)
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for agent, series in current:
        values = _whose(agent, username(agent), whose)
        for one in series:
            if one.name in NAMES or one.name.startswith(OURS):
                continue
            own = [pair for pair in one.labels if pair[1]]  # an empty label is none
            names, texts = (*whose, *(name for name, _ in own)), (*values, *(text for _, text in own))
            sums[one.name, one.type][labelled(names, texts)] += one.value  # type: ignore[assignment] # it adds up floats too
    return [Sampled(Family(name, FORWARDED), found, kind) for (name, kind), found in sorted(_without_twins(sums).items())]


def _without_twins(sums: Mapping[tuple[str, str], Counter[str]]) -> dict[tuple[str, str], Counter[str]]:
    """OpenMetrics calls the counter ``a_total`` as it does the gauge ``a``, and puts ``a_created`` beside it: without those."""
    taken: set[str] = set()
    kept: dict[tuple[str, str], Counter[str]] = {}
    for name, kind in sorted(sums, key=lambda key: (key[1], key[0])):  # counters first, whoever sent what before
        base = name.removesuffix("_total")
        spelled = {name, base, base + "_created"} if kind == "counter" and base != name else {name}
        if not spelled & taken:
            taken |= spelled
            kept[name, kind] = sums[name, kind]
    return kept


def _whose(agent: Agent, username: str, labels: Sequence[str]) -> list[str]:
    known = {
        "agent_name": agent.agent_name or agent.agent_id,
        "template_name": agent.template_name or agent.template_id,
        "username": username,
        "workspace_name": agent.workspace_name or agent.workspace_id,
    }
    return [known[label] for label in labels]


def capped(sampled: Iterable[Sampled], most: int = MOST_SERIES) -> tuple[list[Sampled], dict[str, int]]:
    """The first ``most`` series of each family by their labels, and by name how many of it were left out."""
    kept, left_out = [], {}
    for one in sampled:
        over = len(one.samples) - most
        if over > 0:
            left_out[one.family.name] = over
            one = one._replace(samples=dict(sorted(one.samples.items())[:most]))  # noqa: PLW2901
        kept.append(one)
    return kept, left_out


def _agent_stats(agents: Sequence[AgentMinute], labels: tuple[str, ...]) -> Iterator[Sampled]:
    groups: dict[str, list[AgentMinute]] = defaultdict(list)
    for agent in agents:
        if agent.rx_bytes is not None:
            groups[labelled(labels, [getattr(agent, label) for label in labels])].append(agent)
    seen = {key: reports for key, group in groups.items() if (reports := [agent.newest for agent in group if agent.newest])}

    def summed(count: Callable[[Newest], int]) -> dict[str, float]:
        return {key: sum(map(count, reports)) for key, reports in seen.items()}

    yield Sampled(TX_BYTES, {key: sum(agent.tx_bytes or 0 for agent in group) for key, group in groups.items()})
    yield Sampled(RX_BYTES, {key: sum(agent.rx_bytes or 0 for agent in group) for key, group in groups.items()})
    yield Sampled(CONNECTIONS, summed(lambda report: report.connection_count))
    yield Sampled(LATENCY, {key: median(report.latency_s for report in reports) for key, reports in seen.items()})
    for place, family in enumerate((VSCODE, JETBRAINS, PTY, SSH)):
        yield Sampled(family, summed(lambda report, place=place: report.sessions[place]))  # type: ignore[misc]


def _agents(agents: Sequence[AgentMinute]) -> Iterator[Sampled]:
    up: Counter[str] = Counter()
    connections: Counter[str] = Counter()
    for agent in agents:
        up[labelled(AGENTS_UP.labels, (agent.username, agent.workspace_name, agent.template_name, UNKNOWN))] += 1
        status = "connected" if agent.connected else "disconnected"
        whose = agent.agent_name, agent.username, agent.workspace_name
        connections[labelled(AGENT_CONNECTIONS.labels, (*whose, status, "", ""))] += 1
    yield Sampled(AGENTS_UP, up)
    yield Sampled(AGENT_CONNECTIONS, connections)


def _builds(moment: CoderMoment) -> Iterator[Sampled]:
    by_status, builds, ended = Counter[str](), Counter[str](), Counter[str]()
    for build, count in moment.builds.items():
        by_status[build.status] += count
        builds[labelled(LATEST_BUILD_STATUS.labels, _of_build(build))] += count
    for total in moment.built:
        what = TRANSITIONS.get(total.transition, total.transition), "success" if total.succeeded else "failed"
        whose = total.owner, total.workspace, total.template, UNKNOWN
        ended[labelled(BUILDS.labels, (*whose, *what))] += total.builds
    if moment.builds:
        yield Sampled(LATEST_BUILD, {labelled(LATEST_BUILD.labels, (status,)): by_status[status] for status in STATUSES})
    yield Sampled(LATEST_BUILD_STATUS, builds)
    yield Sampled(BUILDS, ended)


def _of_build(build: LatestBuild) -> tuple[str, ...]:
    return build.status, build.template, UNKNOWN, build.owner, build.transition


def _insights(moment: CoderMoment) -> Iterator[Sampled]:
    users, used = Counter[str](), Counter[str]()
    for use in moment.templates:
        users[labelled(ACTIVE_USERS.labels, (use.template,))] += use.users
        for application, seconds in zip(APPLICATIONS, use.seconds, strict=True):
            if seconds:
                used[labelled(APP_USE.labels, (use.template, application, ""))] += seconds
    yield Sampled(ACTIVE_USERS, users)
    yield Sampled(APP_USE, used)
