"""The tables of telemetry, and of what is known about deployments. ``tables.py`` has the others.

Times are integer milliseconds since the epoch, UTC; ``seen_at`` and ``since`` are times of receipt.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, Table, Text, text

from collector.persist.columns import metadata, numbers

CURRENT = text("until IS NULL")
ENDED = text("until IS NOT NULL")

# One row a deployment that telemetry or polling ever told of; MAX_DEPLOYMENTS at most by telemetry.
deployments = Table(
    "deployments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
)

# One row a deployment: when its messages came, and the use that its newest full snapshot told of. Never a sum of two: their
# hours overlap, and every replica tells of the whole deployment.
telemetry_states = Table(
    "telemetry_states",
    metadata,
    Column("deployment", Text, primary_key=True),
    *numbers("message_at", "full_at", "aggregated_from"),
    Column("latency_p50_ms", Double, nullable=False),  # -1: none was seen
    Column("latency_p95_ms", Double, nullable=False),
    *numbers("rx_bytes", "tx_bytes"),
    *numbers("session_count_vscode", "session_count_ssh", "session_count_jetbrains", "session_count_reconnecting_pty"),
)

# One row a replica, COLLECTOR_INVENTORY_RETENTION after its last message.
telemetry_servers = Table(
    "telemetry_servers",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("machine_id", Text, primary_key=True),
    Column("seen_at", BigInteger, nullable=False, index=True),
    *(Column(name, Text) for name in ("version", "architecture", "os_type", "os_name", "os_version", "install_source")),
    Column("kubernetes", Boolean, nullable=False),
    *numbers("cpu_cores", "memory_total"),
    Column("started_at", BigInteger),
    Column("shutdown_at", BigInteger),
)

# One row a state of a user, template, workspace, proxy or organization, from ``since`` until ``until``; NULL: still. A row
# is written when something changed. Ended ones go after COLLECTOR_INVENTORY_RETENTION.
inventory = Table(
    "inventory",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger),
    Column("created_at", BigInteger),
    Column("name", Text),
    Column("user_id", Text),  # the user itself, the owner, who created it; as COLLECTOR_USER_IDENTITY says
    Column("facts", Text, nullable=False),  # JSON of the kind's facts in wire/inventory.py
    Index("uq_inventory_current", "deployment", "kind", "id", unique=True, sqlite_where=CURRENT, postgresql_where=CURRENT),
    Index("ix_inventory_ended", "until", sqlite_where=ENDED, postgresql_where=ENDED),
)

# One row a build; COLLECTOR_INVENTORY_RETENTION, the newest of a workspace that exists for as long as it does.
telemetry_builds = Table(
    "telemetry_builds",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("workspace_id", Text, primary_key=True),
    Column("build_number", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("template_version_id", Text),
    Column("created_at", BigInteger),
    Column("seen_at", BigInteger, nullable=False, index=True),  # by the first message that held it
)

# One row a job, kept like its build; one that no build names goes like an old build. The error itself is not kept.
telemetry_jobs = Table(
    "telemetry_jobs",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("updated_at", BigInteger, nullable=False),  # by the server's clock; 0: only its transition is known
    Column("started_at", BigInteger),
    Column("canceled_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("failed", Boolean, nullable=False),
    Column("transition", Text),  # of the resources that it made; NULL: none seen
    Column("seen_at", BigInteger, nullable=False, index=True),  # by the last message that held it
)

# One row an agent that may report by itself; made by an owner, gone when it is revoked or its user erased.
agent_tokens = Table(
    "agent_tokens",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of the token, an UUID
    Column("deployment", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("workspace_id", "user_id", "template_id")),
    *(Column(name, Text) for name in ("agent_name", "workspace_name", "username", "template_name")),
    Column("created_at", BigInteger, nullable=False),
)

# One row an erased user: a keyed mark, by which later messages about it are recognized. Grows by administrative acts only.
erased_users = Table(
    "erased_users",
    metadata,
    Column("mark", Text, primary_key=True),
    Column("erased_at", BigInteger, nullable=False),
)
