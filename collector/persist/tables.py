"""Every table: those of CSP and of the AI bridge are in files of their own and passed on, the others stand here.

Times are integer milliseconds since the epoch, UTC, unless a column says minutes.
What bounds each table's growth stands in its comment; ``rollup/retention.py`` does the bounding.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from collector.persist.aibridge_tables import aibridge_duration_totals as aibridge_duration_totals
from collector.persist.aibridge_tables import aibridge_interceptions as aibridge_interceptions
from collector.persist.aibridge_tables import aibridge_model_thoughts as aibridge_model_thoughts
from collector.persist.aibridge_tables import aibridge_prompts as aibridge_prompts
from collector.persist.aibridge_tables import aibridge_token_usages as aibridge_token_usages
from collector.persist.aibridge_tables import aibridge_tool_totals as aibridge_tool_totals
from collector.persist.aibridge_tables import aibridge_tool_usages as aibridge_tool_usages
from collector.persist.aibridge_tables import aibridge_totals as aibridge_totals
from collector.persist.columns import Id, numbers
from collector.persist.columns import metadata as metadata
from collector.persist.csp_tables import csp_alerts as csp_alerts
from collector.persist.csp_tables import csp_days as csp_days
from collector.persist.csp_tables import csp_hours as csp_hours
from collector.persist.csp_tables import csp_minutes as csp_minutes
from collector.persist.csp_tables import csp_policies as csp_policies
from collector.persist.csp_tables import csp_samples as csp_samples
from collector.persist.csp_tables import csp_scripts as csp_scripts
from collector.persist.csp_tables import csp_totals as csp_totals
from collector.persist.csp_tables import drop_totals as drop_totals
from collector.persist.csp_tables import ignore_rules as ignore_rules
from collector.persist.csp_tables import noise_rule_totals as noise_rule_totals
from collector.persist.csp_tables import other_report_totals as other_report_totals
from collector.persist.csp_tables import other_samples as other_samples
from collector.persist.csp_tables import violation_audit as violation_audit
from collector.persist.csp_tables import violation_clients as violation_clients
from collector.persist.csp_tables import violation_facets as violation_facets
from collector.persist.csp_tables import violations as violations

# One row a setting that the service made for itself.
meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

# One row a writing process: the number of its last committed batch, so that a batch whose COMMIT was answered by a broken
# connection is not stored twice. Rows of ended processes go after a day.
writer_marks = Table(
    "writer_marks",
    metadata,
    Column("writer", Text, primary_key=True),
    *numbers("batch", "at"),
)

# One row a lease, and there is one lease: of the jobs that one replica does for all. Times are by the database's clock.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),  # a random name of a process; "" once it was let go
    *numbers("epoch", "renewed_at", "expires_at"),  # the epoch rises with each change of holder
    sqlite_with_rowid=False,
)

# The streams that messages came from, by their creation: one row for each that an operator has set up.
message_streams = Table(
    "message_streams",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    *numbers("created_at", "floor"),  # up to floor every message is applied
    UniqueConstraint("name", "created_at"),
)

# The messages above floor that are applied: some minutes of them, since those below what is acknowledged go.
applied_messages = Table(
    "applied_messages",
    metadata,
    Column("stream", Id, ForeignKey("message_streams.id", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)

# ── Who may do what: grows by administrative acts, and by at most TOKENS_PER_USER tokens of each user ──────────────
users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),  # UUID
    Column("username", Text, nullable=False, unique=True),  # lower case
    Column("role", Text, nullable=False),  # owner, auditor, member
    Column("created_at", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),  # 10 characters, the first part of ID-SECRET
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("secret_hash", LargeBinary, nullable=False),  # SHA-256 of the 22-character secret
    *numbers("created_at", "expires_at"),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("name", Text, nullable=False, server_default=text("''")),  # what its owner calls it; need not be the only one
    Column("scopes", Text),  # JSON array; NULL: all that the role of the user opens
)

# One row a sign-in to the pages; bounded by their duration: retention removes what has ended.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),  # 10 characters, the first part of the cookie's ID-SECRET
    Column("token_id", Text, ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),  # part of every fingerprint: never renamed
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),  # from then on its keys are answered with 410
    Column("allowed_origins", Text),  # JSON array of document origins, for keys that have none of their own; NULL: any
    Column("retention_days", Integer),  # of violations; NULL: as configured
    Column("sample_rate", Double, nullable=False, server_default=text("1")),  # the share of reports that is kept
    Column("ingest_rate", BigInteger),  # reports a minute; NULL: no limit but that of each key
)

# One row a project: when the first and the newest report came in, whatever became of it.
project_activity = Table(
    "project_activity",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("days", Integer, nullable=False),  # on which any came in, UTC
)

# Which projects a member may read.
project_members = Table(
    "project_members",
    metadata,
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True, index=True),
)

ingest_keys = Table(
    "ingest_keys",
    metadata,
    Column("id", Text, primary_key=True),  # the first 10 characters of the key
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("deployment", Text, nullable=False),
    Column("kind", Text, nullable=False),  # browser or feed
    Column("public_key", Text),  # the whole key, of a browser key only: it is public by nature and shown again
    Column("secret_hash", LargeBinary, nullable=False),  # SHA-256 of what follows the id
    Column("allowed_origins", Text),  # JSON array of origins; NULL: any
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

# ── Agents and workspaces ──────────────────────────────────────────────────────────────────────────────────────────
# One row an agent ever heard of within the retention of its reports.
agents = Table(
    "agents",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("deployment", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("template_id", Text, nullable=False),
    Column("agent_name", Text),
    Column("workspace_name", Text),
    Column("username", Text),
    Column("template_name", Text),
    Column("last_seen", BigInteger, nullable=False),
    UniqueConstraint("deployment", "agent_id"),
)

# Raw rows, COLLECTOR_AGENT_STATS_RETENTION (24 h). Newest per agent is the highest (received_at, id). On PostgreSQL a
# partition a day, whose key is (id, received_at): ``partitions.py``.
agent_stats = Table(
    "agent_stats",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("agent", Id, nullable=False),  # agents.id; no foreign key: rows are purged by time, agents after them
    Column("received_at", BigInteger, nullable=False),
    Column("collected_at", BigInteger),
    Column("connection_count", BigInteger, nullable=False),
    Column("connection_median_latency_ms", Double, nullable=False),
    *numbers("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"),
    *numbers("session_count_vscode", "session_count_jetbrains", "session_count_reconnecting_pty", "session_count_ssh"),
    Index("ix_agent_stats_received_at", "received_at"),
    # An id is never used twice, also after a purge: "newest" is decided by it within a millisecond.
    sqlite_autoincrement=True,
)

# The report ids already counted, kept twice as long as the rows. The id is hashed, so its length is nobody's choice.
agent_report_ids = Table(
    "agent_report_ids",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("report_id", LargeBinary, primary_key=True),  # BLAKE2b-128 of the id as sent
    Column("received_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# One row a workspace; deleted ones go COLLECTOR_WORKSPACE_RETENTION after their last message.
workspaces = Table(
    "workspaces",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("template_id", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("build_number", BigInteger),  # NULL: no build yet
    Column("transition", Text),
    Column("build_created_at", BigInteger),
    Column("job_started_at", BigInteger),
    Column("job_canceled_at", BigInteger),
    Column("job_completed_at", BigInteger),
    Column("job_error", Text),
    Column("updated_at", BigInteger, nullable=False),
    # For retention: the rows of deleted workspaces are few, and no other write touches this index.
    Index("ix_workspaces_deleted", "updated_at", sqlite_where=text("deleted = 1"), postgresql_where=text("deleted")),
)

# How many builds of a workspace have ended, by what they were to do and whether they did; goes with the workspace. Six rows
# a workspace at most.
workspace_build_totals = Table(
    "workspace_build_totals",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("workspace_id", Text, primary_key=True),
    Column("transition", Text, primary_key=True),
    Column("succeeded", Boolean, primary_key=True),
    Column("count", BigInteger, nullable=False),
    ForeignKeyConstraint(["deployment", "workspace_id"], ["workspaces.deployment", "workspaces.id"], ondelete="CASCADE"),
    sqlite_with_rowid=False,
)

# ── Snapshots ──────────────────────────────────────────────────────────────────────────────────────────────────────
# One row an interval and deployment, COLLECTOR_SNAPSHOT_RETENTION.
snapshots = Table(
    "snapshots",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("collected_at", BigInteger, primary_key=True),
    Column("source", Text, primary_key=True),  # reports, upstream or telemetry
    *numbers("aggregated_from", "next_update_at"),
    *numbers("pending", "building", "running", "failed", "stopped"),
    Column("connection_latency_p50_ms", Double, nullable=False),  # -1: no latency seen
    Column("connection_latency_p95_ms", Double, nullable=False),
    *numbers("rx_bytes", "tx_bytes"),
    *numbers("session_count_vscode", "session_count_ssh", "session_count_jetbrains", "session_count_reconnecting_pty"),
    Index("ix_snapshots_collected_at", "collected_at"),  # for retention
    sqlite_with_rowid=False,
)

# Which snapshot of each deployment is shown, as the replica that builds them says: one row a deployment, all of them written
# anew with each snapshot.
shown_snapshots = Table(
    "shown_snapshots",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("collected_at", BigInteger, nullable=False),
    Column("answers", Boolean, nullable=False),  # for whoever names no deployment
    Column("said", Boolean, nullable=False),  # an option, and not what there is, chose the source
    sqlite_with_rowid=False,
)
