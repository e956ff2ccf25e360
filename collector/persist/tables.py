"""Every table, on one page. Times are integer milliseconds since the epoch, UTC, unless a column says minutes.

What bounds each table's growth stands in its comment; ``rollup/retention.py`` does the bounding.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

# Named constraints, so that a migration can drop what another database named differently
# (https://alembic.sqlalchemy.org/en/latest/naming.html).
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes a column the rowid, and thus small and self-counting, only when its type reads INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _numbers(*names: str) -> Iterator[Column[int]]:
    return (Column(name, BigInteger, nullable=False) for name in names)


# One row a setting that the service made for itself.
meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

# One row a writing process: the number of its last committed batch, so that a batch whose COMMIT was answered by a broken
# connection is not stored twice. Rows of ended processes go after a day.
writer_marks = Table(
    "writer_marks",
    metadata,
    Column("writer", Text, primary_key=True),
    *_numbers("batch", "at"),
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
    *_numbers("created_at", "expires_at"),
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

# ── CSP: cost grows with distinct violations, not with traffic ─────────────────────────────────────────────────────
NO_NOISE, NOISE = text("noise_class IS NULL"), text("noise_class IS NOT NULL")


def _ranking(column: str) -> Iterator[Index]:
    """The violations in one order, of all projects and of each, with what most of them are told apart by."""
    yield Index(f"ix_violations_{column}", column, "id", "noise_class", "state")
    yield Index(f"ix_violations_project_{column}", "project_id", column, "id", "noise_class", "state")


# One row a fingerprint; bounded by COLLECTOR_MAX_STORE_BYTES and by retention of violations not seen for long.
violations = Table(
    "violations",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("fingerprint", Text, nullable=False, unique=True),  # 32 hex digits
    Column("deployment", Text, nullable=False),
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("effective_directive", Text),
    Column("blocked_kind", Text, nullable=False),
    Column("blocked_origin", Text),
    Column("blocked_key", Text, nullable=False),
    Column("place", Text, nullable=False, server_default=text("''")),
    Column("document_origin", Text),  # of the newest report
    Column("disposition", Text),  # of the newest report
    Column("noise_class", Text),
    Column("noise_rule", Text),
    _count("count"),
    _count("count_enforce"),
    _count("count_report"),
    _count("count_unknown"),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False, server_default=text("0")),  # by our own clock; no report can say it
    Column("state", Text, nullable=False, server_default=text("'open'")),  # open, acknowledged, ignored, resolved
    Column("state_at", BigInteger),
    Column("state_by", Text),  # a user's name, or "rule" or "report"
    Column("resolved_under", Text),  # JSON array of the policy hashes known when it was resolved
    # What the list is sorted by: these follow every few seconds (persist/csp_ranks.py).
    _count("ranked_count"),
    _count("ranked_seen"),
    Column("volume", Double, nullable=False, server_default=text("0")),
    Column("usual", Double, nullable=False, server_default=text("0")),
    Column("trend", Double, nullable=False, server_default=text("0")),
    Column("days", Integer, nullable=False, server_default=text("1")),  # on which it was seen, UTC
    Column("seen_day", Integer, nullable=False, server_default=text("0")),
    # The list, without noise and of noise alone; that of one project has an index that covers both. None on the counts or
    # on last_seen: they change with every report, and an index on each would cost a fifth of what a report costs here.
    Index("ix_violations_signal", "id", sqlite_where=NO_NOISE, postgresql_where=NO_NOISE),
    Index("ix_violations_noise", "id", sqlite_where=NOISE, postgresql_where=NOISE),
    Index("ix_violations_project_id", "project_id", "id", "noise_class", "state"),
    *_ranking("ranked_count"),
    *_ranking("ranked_seen"),
    *_ranking("trend"),
)


def _buckets(name: str) -> Table:
    """Counts of a violation in one span of time. ``bucket`` is the span's first minute since the epoch: it fits in 4 bytes."""
    return Table(
        name,
        metadata,
        Column("violation_id", Id, ForeignKey("violations.id", ondelete="CASCADE"), primary_key=True),
        Column("bucket", Integer, primary_key=True),
        _count("enforce"),
        _count("report"),
        _count("unknown"),
        # 200 violations seen every minute of a year are a million rows: without a rowid they fit in half the space.
        sqlite_with_rowid=False,
    )


csp_minutes = _buckets("csp_minutes")  # 48 hours, then folded into
csp_hours = _buckets("csp_hours")  # 90 days, then folded into
csp_days = _buckets("csp_days")  # for as long as the violation is kept

# At most SAMPLES_PER_VIOLATION rows a violation: a slot is overwritten, never added.
csp_samples = Table(
    "csp_samples",
    metadata,
    Column("violation_id", Id, ForeignKey("violations.id", ondelete="CASCADE"), primary_key=True),
    Column("slot", SmallInteger, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Column("document_uri", Text),
    Column("referrer", Text),
    Column("blocked_uri", Text),
    Column("source_file", Text),
    Column("line_number", Integer),
    Column("column_number", Integer),
    Column("status_code", Integer),
    Column("disposition", Text),
    Column("script_sample", Text),
    Column("policy", Text),
    Column("user_agent", Text),
    sqlite_with_rowid=False,
)

# The values that a violation was seen with: its documents, browsers, blocked paths and policies. At most VALUES_PER_KIND
# rows a violation and kind, and one named "" for all others.
violation_facets = Table(
    "violation_facets",
    metadata,
    Column("violation_id", Id, ForeignKey("violations.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),  # document, browser, path, policy
    Column("value", Text, primary_key=True),  # of a policy its hash
    _count("count"),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# How many clients sent a violation: one row a violation. What is kept is a sketch of one day, from which no address can be
# had, and the highest of the daily estimates.
violation_clients = Table(
    "violation_clients",
    metadata,
    Column("violation_id", Id, ForeignKey("violations.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Integer, nullable=False),  # since the epoch, UTC
    Column("sketch", LargeBinary, nullable=False),  # at most 256 bytes
    Column("peak", Integer, nullable=False),
)

# The policies that a project's reports came under, in the words of the first report. At most POLICIES_PER_PROJECT a project.
csp_policies = Table(
    "csp_policies",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", Text, primary_key=True),
    Column("text", Text, nullable=False),
    _count("count"),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
)

# Who changed the state of which violation. One row a change, for a year; a bulk change makes at most 1,000.
violation_audit = Table(
    "violation_audit",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("fingerprint", Text, nullable=False, index=True),  # no foreign key: the record outlives the violation
    Column("state_by", Text, nullable=False),
    Column("old_state", Text, nullable=False),
    Column("new_state", Text, nullable=False),
    Column("note", Text),
)

# What is ignored from its first report on: grows by administrative acts, at most RULES_AT_MOST.
ignore_rules = Table(
    "ignore_rules",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), index=True),  # NULL: of all projects
    Column("effective_directive", Text),  # NULL: any
    Column("blocked_key", Text),  # NULL: any
    Column("note", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
)

# Running sums behind the exporter's counters: closed label lists times projects. Neither restart, retention nor a
# changed noise rule ever lowers them.
csp_totals = Table(
    "csp_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("effective_directive", Text, primary_key=True),  # "" when unknown: a key has no NULL
    Column("disposition", Text, primary_key=True),  # enforce, report, unknown
    Column("noise_class", Text, primary_key=True),  # "" when it is no noise
    _count("count"),
)
drop_totals = Table(
    "drop_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("reason", Text, primary_key=True),
    _count("count"),
)
other_report_totals = Table(
    "other_report_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("type", Text, primary_key=True),
    _count("count"),
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

# Raw rows, COLLECTOR_AGENT_STATS_RETENTION (24 h). Newest per agent is the highest (received_at, id).
agent_stats = Table(
    "agent_stats",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("agent", Id, nullable=False),  # agents.id; no foreign key: rows are purged by time, agents after them
    Column("received_at", BigInteger, nullable=False),
    Column("collected_at", BigInteger),
    Column("connection_count", BigInteger, nullable=False),
    Column("connection_median_latency_ms", Double, nullable=False),
    *_numbers("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"),
    *_numbers("session_count_vscode", "session_count_jetbrains", "session_count_reconnecting_pty", "session_count_ssh"),
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

# ── Snapshots ──────────────────────────────────────────────────────────────────────────────────────────────────────
# One row an interval and deployment, COLLECTOR_SNAPSHOT_RETENTION.
snapshots = Table(
    "snapshots",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("collected_at", BigInteger, primary_key=True),
    Column("source", Text, nullable=False),  # reports, later also upstream and telemetry
    *_numbers("aggregated_from", "next_update_at"),
    *_numbers("pending", "building", "running", "failed", "stopped"),
    Column("connection_latency_p50_ms", Double, nullable=False),  # -1: no latency seen
    Column("connection_latency_p95_ms", Double, nullable=False),
    *_numbers("rx_bytes", "tx_bytes"),
    *_numbers("session_count_vscode", "session_count_ssh", "session_count_jetbrains", "session_count_reconnecting_pty"),
    Index("ix_snapshots_collected_at", "collected_at"),  # for retention
    sqlite_with_rowid=False,
)
