"""The tables of CSP reports. Their cost grows with distinct violations, not with traffic. ``tables.py`` has the others."""

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
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from collector.persist.columns import Id, count, metadata

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
    Column("policy_allows", Boolean, nullable=False, server_default=false()),  # of the newest report
    count("count"),
    count("count_enforce"),
    count("count_report"),
    count("count_unknown"),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False, server_default=text("0")),  # by our own clock; no report can say it
    Column("state", Text, nullable=False, server_default=text("'open'")),  # open, acknowledged, ignored, resolved
    Column("state_at", BigInteger),
    Column("state_by", Text),  # a user's name, or "rule" or "report"
    Column("resolved_under", Text),  # JSON array of the policy hashes known when it was resolved
    # What the list is sorted by: these follow every few seconds (persist/csp_ranks.py).
    count("ranked_count"),
    count("ranked_seen"),
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
        count("enforce"),
        count("report"),
        count("unknown"),
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
    count("count"),
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
    count("count"),
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

# What was told, or is to be told, about violations: one row for being new, for each reopening, and for each week of a trend;
# for 90 days, and at most as long as the violation.
csp_alerts = Table(
    "csp_alerts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("violation_id", Id, ForeignKey("violations.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),  # new, reopened, trending
    Column("about", BigInteger, nullable=False),  # when it happened: what makes a second one of the kind another alert
    Column("raised_at", BigInteger, nullable=False, index=True),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("next_at", BigInteger, index=True),  # of the next attempt; NULL: delivered, or given up
    Column("delivered_at", BigInteger),
    UniqueConstraint("violation_id", "kind", "about"),
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
    count("count"),
)
drop_totals = Table(
    "drop_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("reason", Text, primary_key=True),
    count("count"),
)
other_report_totals = Table(
    "other_report_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("type", Text, primary_key=True),
    count("count"),
)
noise_rule_totals = Table(
    "noise_rule_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("rule", Text, primary_key=True),  # grows with the rules that operators name
    count("count"),
)

# At most SLOTS_PER_TYPE rows a project and type: a slot is overwritten, never added.
other_samples = Table(
    "other_samples",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("type", Text, primary_key=True),
    Column("slot", SmallInteger, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Column("document_uri", Text),
    Column("user_agent", Text),
    Column("body", Text, nullable=False),  # JSON object: the fields that are kept
    sqlite_with_rowid=False,
)

# The script inventory: one row a version of a script and origin of pages, at most SCRIPTS_PER_PROJECT a project and one that
# sums up the rest; COLLECTOR_CSP_VIOLATION_RETENTION.
csp_scripts = Table(
    "csp_scripts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("fingerprint", Text, nullable=False, unique=True),  # 32 hex digits over the project and the next five
    Column("document_origin", Text),
    Column("url", Text),  # without query
    Column("hash", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False, index=True),
    count("count"),
)
