"""What the exporter says beside the instruments of the process: every family once, as data; docs/metrics.md derives from it."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class Family(NamedTuple):
    """One metric: its name as it is exposed, its meaning, its labels. A counter, and nothing else, ends in ``_total``.

    ``type`` is given where it is neither a counter nor a gauge.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    type: str = ""

    @property
    def kind(self) -> str:
        """``counter`` or ``gauge``, or the type it is given."""
        return self.type or ("counter" if self.name.endswith("_total") else "gauge")

    def empty(self) -> CounterMetricFamily | GaugeMetricFamily:
        """The family without a sample yet."""
        made = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        return made(self.name.removesuffix("_total"), self.meaning, labels=self.labels)

    def of(self, value: float) -> Metric:
        """The family with its only sample."""
        family = self.empty()
        family.add_metric([], value)
        return family


# Kept in the store: neither a restart nor retention lowers them.
CSP_REPORTS = Family(
    "collector_csp_reports_total",
    "CSP reports counted among the violations. Of the last of many projects the directive, or the project, is `other`.",
    ("project", "directive", "disposition", "noise_class"),
)
CSP_DROPPED = Family(
    "collector_csp_dropped_reports_total", "CSP reports acknowledged and left out, by reason.", ("project", "reason")
)
OTHER_REPORTS = Family(
    "collector_other_reports_total", "Reports of the Reporting API that are not about CSP.", ("project", "type")
)
NOISE_MATCHES = Family("collector_noise_rule_matches_total", "CSP reports that a noise rule matched, by rank.", ("rule",))

# Of the current snapshots, one of each deployment; absent before the first.
WORKSPACES = Family(
    "collector_deployment_workspaces", "Workspaces by the state of their newest build.", ("deployment", "status")
)
SESSIONS = Family("collector_deployment_sessions", "Sessions open at each agent's newest report.", ("deployment", "app"))
LATENCY = Family(
    "collector_deployment_connection_latency_seconds",
    "Percentile of the connection latencies in agent reports of the last 15 minutes. Absent while none was seen.",
    ("deployment", "percentile"),
)
RX_BYTES = Family("collector_deployment_rx_bytes", "Bytes that agents received in the last 15 minutes.", ("deployment",))
TX_BYTES = Family("collector_deployment_tx_bytes", "Bytes that agents sent in the last 15 minutes.", ("deployment",))
SNAPSHOT_AT = Family(
    "collector_snapshot_timestamp_seconds",
    "When the current snapshot of the deployment was built that answers when nobody names one.",
)
DEPLOYMENTS = Family(
    "collector_deployment_info",
    "1 for each deployment: what its stats are made from, and whether that gives approximations only.",
    ("deployment", "source", "approximate"),
)
SOURCE_SUCCESS_AT = Family(
    "collector_source_last_success_timestamp_seconds",
    "When the source last gave a snapshot or telemetry of the deployment; of 300 at most.",
    ("deployment", "source"),
)
GROUPS = Family(
    "collector_deployment_group_workspaces",
    "Workspaces of Coder servers that are asked, by what they have in common; 400 groups at most. Prebuilt: not claimed yet.",
    ("deployment", "organization", "template", "prebuilt", "status"),
)

# Violations as they are kept, counted with every snapshot.
VIOLATIONS = Family(
    "collector_csp_violations",
    "Violations that are kept, by state and by whether they are noise.",
    ("project", "state", "noise"),
)
NEW_VIOLATIONS = Family(
    "collector_csp_new_violations",
    "Violations that were first stored in the last hour, of the newest 5,000.",
    ("project", "noise_class"),
)
TOP_VIOLATIONS = Family(
    "collector_csp_top_violation_reports",
    "Reports of the 50 open violations that have most and are no noise.",
    ("project", "directive", "blocked_kind", "fingerprint"),
)

# Of AI bridge records, read with every snapshot. Windows that move: neither add them up over time nor over windows.
AI_INTERCEPTIONS = Family(
    "collector_aibridge_interceptions",
    "Interceptions that started within the window; unfinished ones have no end yet.",
    ("window", "deployment", "provider", "model", "ended"),
)
AI_TOKENS = Family(
    "collector_aibridge_tokens",
    "Tokens of interceptions that started within the window, by kind: the kinds add up to all of them.",
    ("window", "deployment", "provider", "model", "kind"),
)
AI_COST = Family(
    "collector_aibridge_cost",
    "What these tokens cost by COLLECTOR_AIBRIDGE_PRICES, in its currency. Absent where nothing has a price.",
    ("window", "deployment", "provider", "model", "currency"),
)
AI_UNPRICED = Family(
    "collector_aibridge_unpriced_tokens",
    "Tokens of the window that the price list leaves out.",
    ("window", "deployment", "provider", "model"),
)
AI_TOOL_CALLS = Family(
    "collector_aibridge_tool_calls",
    "Calls of tools by interceptions that started within the window; of 40 tools by name.",
    ("window", "deployment", "tool", "failed"),
)
AI_USERS = Family(
    "collector_aibridge_users", "Users with an interception that started within the window.", ("window", "deployment")
)

# Of the store, which all replicas share.
STORE_BYTES = Family("collector_store_bytes", "Space that the data takes up in the store.")
STORE_LIMIT = Family("collector_store_limit_bytes", "COLLECTOR_MAX_STORE_BYTES; 0 is no limit.")
BACKUP_AT = Family(
    "collector_last_backup_timestamp_seconds",
    "Of when the newest backup is that `collector backup` made or was told of. Absent when there never was one.",
)
METRICS_AGE = Family(
    "collector_metrics_age_seconds",
    "How old all else is that is told of the deployments: it was read at one moment, with the current snapshot."
    " Absent before the first.",
)
LEFT_OUT = Family(
    "collector_metric_series_left_out",
    "Series that are not served, or with others as one, because their metric has too many; 1 where nobody counts them.",
    ("metric",),
)

# The service itself.
AGENT_SERIES_LEFT_OUT = Family(
    "collector_agent_metric_series_left_out",
    "Series that agents send of themselves and that are not served, because their metric has more than 20,000."
    " With COLLECTOR_CODER_METRICS.",
)
QUEUE = Family("collector_queue_reports", "Reports and rows that wait for the writer.")
QUEUE_OLDEST = Family(
    "collector_queue_oldest_seconds", "How long the oldest of them has waited for its commit; 0 when none waits."
)
DB_CONNECTIONS = Family(
    "collector_db_connections",
    "Connections to the store in a transaction and idle, and transactions waiting for one."
    " With CODER_PROMETHEUS_COLLECT_DB_METRICS.",
    ("state",),
)
CANARY_AT = Family(
    "collector_canary_last_success_timestamp_seconds",
    "When a report that the service posts to itself was last committed; 0 while none was. Absent with COLLECTOR_CANARY=false.",
)
LEADER = Family("collector_leader", "1 while this replica leads: it does the jobs that are done once for all replicas. Else 0.")
LEADER_EPOCH = Family("collector_leader_epoch", "How often the leader has changed, as this replica last saw it.")
LEASE_RENEWED_AT = Family(
    "collector_lease_renewed_timestamp_seconds",
    "When the leader last renewed its lease, by the database's clock, as this replica last saw it.",
)
JOB_AGE = Family(
    "collector_job_age_seconds", "Time since the job last succeeded. The leader's jobs have one at the leader alone.", ("job",)
)
JOB_DURATION = Family("collector_job_duration_seconds", "How long the job's last run took.", ("job",))
JOB_FAILURES = Family("collector_job_failures_total", "Runs of the job that failed.", ("job",))

COLLECTED = (
    CSP_REPORTS,
    CSP_DROPPED,
    OTHER_REPORTS,
    NOISE_MATCHES,
    WORKSPACES,
    SESSIONS,
    LATENCY,
    RX_BYTES,
    TX_BYTES,
    SNAPSHOT_AT,
    DEPLOYMENTS,
    SOURCE_SUCCESS_AT,
    GROUPS,
    VIOLATIONS,
    NEW_VIOLATIONS,
    TOP_VIOLATIONS,
    AI_INTERCEPTIONS,
    AI_TOKENS,
    AI_COST,
    AI_UNPRICED,
    AI_TOOL_CALLS,
    AI_USERS,
    STORE_BYTES,
    STORE_LIMIT,
    BACKUP_AT,
    METRICS_AGE,
    LEFT_OUT,
)
OWN = (
    AGENT_SERIES_LEFT_OUT,
    QUEUE,
    QUEUE_OLDEST,
    DB_CONNECTIONS,
    CANARY_AT,
    LEADER,
    LEADER_EPOCH,
    LEASE_RENEWED_AT,
    JOB_AGE,
    JOB_DURATION,
    JOB_FAILURES,
)
