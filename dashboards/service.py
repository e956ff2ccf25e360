"""The collector itself: what comes in and what is refused, how full queue and store are, and whether its jobs run."""

from __future__ import annotations

from dashboards.board import Board, Row, number, over_time, table

INTAKE = 'route=~"/api/v2/csp/reports|/api/v2/ingest/.+|/api/v2/workspaceagents/me/report-stats|/snapshot|/deployment"'

P95 = "histogram_quantile(0.95, sum by (le, route) (rate(collector_http_request_seconds_bucket[$__rate_interval])))"
ASKED = "sum by (route) (rate(collector_http_request_seconds_count[$__rate_interval]))"

NOW = Row(
    "Now",
    (
        number(
            "Intake that failed",
            "The share of requests that bring data which were answered with a 5xx, in the time shown.",
            f'(sum(increase(collector_http_requests_total{{{INTAKE},status=~"5.."}}[$__range])) or vector(0))'
            f" / sum(increase(collector_http_requests_total{{{INTAKE}}}[$__range]))",
            unit="percentunit",
            steps=((0.001, "orange"), (0.01, "red")),
            width=3,
        ),
        number(
            "Waiting",
            "Reports and rows that wait for their commit; COLLECTOR_QUEUE_LIMIT is where 503 begins.",
            "sum(collector_queue_reports)",
            width=3,
        ),
        number(
            "Oldest waiting",
            "How long the oldest of them has waited, at the worst of the last minutes.",
            "max(max_over_time(collector_queue_oldest_seconds[$__rate_interval]))",
            unit="s",
            steps=((0.5, "orange"), (2, "red")),
            width=3,
        ),
        number(
            "Slowest commit",
            "99 of 100 transactions of the last minutes took less.",
            "histogram_quantile(0.99, sum by (le) (rate(collector_commit_seconds_bucket[$__rate_interval])))",
            unit="s",
            steps=((0.5, "orange"), (2, "red")),
            width=3,
        ),
        number(
            "Store",
            "How much of COLLECTOR_MAX_STORE_BYTES is taken. From 100 % on new violations are refused.",
            "max(collector_store_bytes / (collector_store_limit_bytes > 0))",
            unit="percentunit",
            steps=((0.85, "orange"), (1, "red")),
            width=3,
        ),
        number(
            "Oldest job",
            "The longest time since any job last succeeded that is to run every few minutes.",
            'max(collector_job_age_seconds{job!="update check"})',
            unit="s",
            steps=((900, "orange"), (1800, "red")),
            width=3,
        ),
        number(
            "Last backup",
            "Time since the newest backup. Empty when none was ever noted.",
            "time() - max(collector_last_backup_timestamp_seconds)",
            unit="s",
            steps=((129_600, "orange"), (172_800, "red")),
            width=3,
        ),
        number(
            "Canary",
            "Time since a report that the service posts to itself was last acknowledged.",
            "time() - max(collector_canary_last_success_timestamp_seconds)",
            unit="s",
            steps=((180, "orange"), (300, "red")),
            width=3,
        ),
    ),
)

DOOR = Row(
    "Requests",
    (
        over_time(
            "Requests by route",
            "Requests a second.",
            ("sum by (route) (rate(collector_http_requests_total[$__rate_interval]))", "{{route}}"),
            unit="reqps",
            stacked=True,
        ),
        over_time(
            "Answers by status",
            "Answers a second. 503 is what a full queue or a failing store says; of those, browsers repeat only some.",
            ("sum by (status) (rate(collector_http_requests_total[$__rate_interval]))", "{{status}}"),
            unit="reqps",
        ),
        over_time(
            "Time by route",
            "95 of 100 requests took less. Intake of CSP reports is not timed.",
            (
                f"{P95} and on (route) {ASKED} > 0",
                "{{route}}",
            ),
            unit="s",
        ),
        over_time(
            "Refused",
            "Reports and rows a second that were answered with 503, by reason; none of them is stored.",
            ("sum by (reason) (rate(collector_refused_reports_total[$__rate_interval]))", "{{reason}}"),
            unit="reqps",
        ),
    ),
)

WRITER = Row(
    "Writing",
    (
        over_time(
            "Transactions",
            "Transactions a second, and those that the store refused and that were tried again.",
            ("sum(rate(collector_commits_total[$__rate_interval]))", "committed"),
            ("sum(rate(collector_failed_commits_total[$__rate_interval]))", "refused"),
            unit="ops",
        ),
        over_time(
            "Time of a transaction",
            "Half, and 99 of 100, of the transactions took less, their commit included.",
            ("histogram_quantile(0.5, sum by (le) (rate(collector_commit_seconds_bucket[$__rate_interval])))", "p50"),
            ("histogram_quantile(0.99, sum by (le) (rate(collector_commit_seconds_bucket[$__rate_interval])))", "p99"),
            unit="s",
        ),
        over_time(
            "Submissions of a transaction",
            "How many requests share one commit on the average: it grows with the load, and so keeps up with it.",
            (
                (
                    "sum(rate(collector_batch_submissions_sum[$__rate_interval]))"
                    " / sum(rate(collector_batch_submissions_count[$__rate_interval]))"
                ),
                "submissions",
            ),
        ),
        over_time(
            "Waiting",
            "Reports and rows that wait for the writer.",
            ("sum by (instance) (collector_queue_reports)", "{{instance}}"),
        ),
        over_time(
            "Oldest waiting",
            "How long the oldest of them has waited for its commit. Senders wait as long for their answer.",
            ("max by (instance) (max_over_time(collector_queue_oldest_seconds[$__rate_interval]))", "{{instance}}"),
            unit="s",
        ),
        over_time(
            "Waiting in the stream",
            "Age of the oldest message that is not stored, as each collector last saw it. 0 without COLLECTOR_NATS_URL.",
            ("max by (instance) (collector_stream_oldest_seconds)", "{{instance}}"),
            unit="s",
        ),
        over_time(
            "Time in queries",
            "Seconds a second of the ten families that take most. Empty without CODER_PROMETHEUS_COLLECT_DB_METRICS.",
            ("topk(10, sum by (query) (rate(collector_db_query_seconds_sum[$__rate_interval])))", "{{query}}"),
            unit="s",
        ),
        over_time(
            "Store",
            "Space that the data takes up, and the cap if there is one.",
            ("max(collector_store_bytes)", "taken"),
            ("max(collector_store_limit_bytes > 0)", "cap"),
            unit="bytes",
        ),
        over_time(
            "Disk",
            "What is free of the file system of COLLECTOR_DATA_DIR. SQLite, its log and the copy of a backup need it.",
            ("min by (instance) (collector_data_filesystem_free_bytes)", "{{instance}}"),
            unit="bytes",
        ),
        over_time(
            "Records that the store would not take",
            "Records a second that were refused one by one, with a reason in the log.",
            ("sum(rate(collector_refused_records_total[$__rate_interval]))", "records"),
            unit="ops",
        ),
    ),
)

JOBS = Row(
    "Jobs and process",
    (
        table("Jobs", "Seconds since each job last succeeded.", "max by (job) (collector_job_age_seconds)", unit="s"),
        over_time(
            "Leader",
            "1 at the replica that does the jobs of all. Without one no snapshot is built and no alert posted.",
            ("max by (instance) (collector_leader)", "{{instance}}"),
        ),
        over_time(
            "Time of jobs",
            "How long the last run of each job took.",
            ("max by (job) (collector_job_duration_seconds)", "{{job}}"),
            unit="s",
        ),
        over_time(
            "Failures of jobs",
            "Runs a second that failed. Each is in the log with its reason.",
            ("sum by (job) (rate(collector_job_failures_total[$__rate_interval]))", "{{job}}"),
            unit="ops",
        ),
        over_time(
            "Processor",
            "Seconds of processor time a second: at 1 a process is busy all the time.",
            ("sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{instance}}"),
            unit="percentunit",
        ),
        over_time(
            "Memory",
            "What each process takes up of the machine's memory.",
            ("sum by (instance) (process_resident_memory_bytes)", "{{instance}}"),
            unit="bytes",
        ),
        over_time(
            "Open files",
            "Open files and sockets of each process, as a share of what it may have.",
            ("max by (instance) (process_open_fds / process_max_fds)", "{{instance}}"),
            unit="percentunit",
        ),
    ),
)

BOARD = Board(
    uid="collector-service",
    title="Collector / Collector",
    description="The health and the load of the collector itself.",
    rows=(NOW, DOOR, WRITER, JOBS),
)
