"""How Coder deployments are used: workspaces, sessions, traffic, latency, how that went, and where the figures come from."""

from __future__ import annotations

from dashboards.board import Board, Row, Variable, number, once, over_time, table

HERE = 'deployment=~"$deployment"'
WINDOW_S = 900  # the byte gauges are sums of so many seconds


def of(family: str, *labels: str) -> str:
    """The series of a family of the chosen deployments, by ``labels``, each counted once."""
    return once(f"collector_deployment_{family}{{{','.join([HERE, *labels])}}}")


RUNS, FAILS = of("workspaces", 'status="running"'), of("workspaces", 'status="failed"')
BUILDS = of("workspaces", 'status=~"building|pending"')
RUNNING = f"sum({RUNS})"
FAILED = f"sum({FAILS})"
MEDIAN, SLOWEST = (of("connection_latency_seconds", f'percentile="{percentile}"') for percentile in (50, 95))
SESSIONS = f"sum({of('sessions')})"

NOW = Row(
    "Now",
    (
        number("Running", "Workspaces whose newest build is up.", RUNNING),
        number(
            "Building or waiting",
            "Workspaces in the middle of a build.",
            f"sum({BUILDS})",
        ),
        number(
            "Failed",
            "The share of workspaces whose newest build failed.",
            f"{FAILED} / sum({of('workspaces')})",
            unit="percentunit",
            steps=((0.1, "orange"), (0.2, "red")),
        ),
        number("Sessions", "Sessions that are open, in all editors and terminals.", SESSIONS),
        number(
            "Median latency",
            "Half of the connections between people and workspaces were faster in the last 15 minutes; of several the slowest.",
            f"max({MEDIAN})",
            unit="s",
            steps=((0.15, "orange"), (0.4, "red")),
        ),
        number(
            "Age of these figures",
            "How long ago the current snapshot was built.",
            "time() - max(collector_snapshot_timestamp_seconds)",
            unit="s",
            steps=((120, "orange"), (300, "red")),
        ),
    ),
)

USE = Row(
    "Use",
    (
        over_time(
            "Workspaces",
            "Workspaces by the state of their newest build.",
            (f"sum by (status) ({of('workspaces')})", "{{status}}"),
            stacked=True,
        ),
        over_time(
            "Sessions",
            "Sessions open at each agent's newest report, by app.",
            (f"sum by (app) ({of('sessions')})", "{{app}}"),
            stacked=True,
        ),
        over_time(
            "Traffic",
            "Bytes a second that agents received and sent, as a mean of the 15 minutes before.",
            (f"sum({of('rx_bytes')}) / {WINDOW_S}", "received"),
            (f"sum({of('tx_bytes')}) / {WINDOW_S}", "sent"),
            unit="Bps",
        ),
        over_time(
            "Latency",
            "Percentiles of the latencies that agents reported in the 15 minutes before; of several deployments the highest.",
            (f"max by (percentile) ({of('connection_latency_seconds')})", "p{{percentile}}"),
            unit="s",
        ),
    ),
)

HISTORY = Row(
    "History, over the time shown",
    (
        number("Most running", "The most workspaces that ran at once.", f"max_over_time({RUNNING}[$__range:$__interval])"),
        number("Mean running", "How many workspaces ran on the average.", f"avg_over_time({RUNNING}[$__range:$__interval])"),
        number(
            "Most sessions", "The most sessions that were open at once.", f"max_over_time({SESSIONS}[$__range:$__interval])"
        ),
        number(
            "Mean sessions", "How many sessions were open on the average.", f"avg_over_time({SESSIONS}[$__range:$__interval])"
        ),
        number(
            "Worst latency",
            "The highest 95th percentile of any moment.",
            f"max(max_over_time({SLOWEST}[$__range:$__interval]))",
            unit="s",
        ),
        number("Most failed", "The most workspaces that had failed at once.", f"max_over_time({FAILED}[$__range:$__interval])"),
    ),
)

SOURCES = Row(
    "Sources",
    (
        table(
            "Deployments",
            "Every deployment that is known, and what its stats are made from. Telemetry alone gives approximations.",
            'max by (deployment, source, approximate) (collector_deployment_info{deployment=~"$deployment"})',
        ),
        over_time(
            "Silence of sources",
            "Seconds since a source last gave a snapshot or telemetry of a deployment.",
            (
                (
                    "time() - max by (deployment, source)"
                    ' (collector_source_last_success_timestamp_seconds{deployment=~"$deployment"})'
                ),
                "{{deployment}} {{source}}",
            ),
            unit="s",
        ),
        over_time(
            "Workspaces by template",
            "Workspaces of Coder servers that are asked, by template. Empty while COLLECTOR_UPSTREAMS names none.",
            (f"sum by (template) ({of('group_workspaces')})", "{{template}}"),
            stacked=True,
        ),
        over_time(
            "Telemetry",
            "Telemetry messages a second that were stored, by kind.",
            ("sum by (kind) (rate(collector_telemetry_messages_total[$__rate_interval]))", "{{kind}}"),
            unit="ops",
        ),
    ),
)

BOARD = Board(
    uid="collector-deployment",
    title="Collector / Deployment",
    description="Workspaces, sessions, traffic and latency of Coder deployments.",
    rows=(NOW, USE, HISTORY, SOURCES),
    variables=(Variable("deployment", "Deployment", "collector_deployment_info"),),
)
