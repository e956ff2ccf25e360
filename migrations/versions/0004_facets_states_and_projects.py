"""Facets and states of violations, the columns they are listed by, and what projects are configured with.

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RANKED = ("ranked_count", "ranked_seen", "trend")


def upgrade() -> None:
    _violations()
    _projects()
    _facets()
    _acts()


def downgrade() -> None:
    for table in ("ignore_rules", "violation_audit", "csp_policies", "violation_clients", "violation_facets"):
        op.drop_table(table)
    op.drop_table("project_members")
    op.drop_table("project_activity")
    for column in _project_columns():
        op.drop_column("projects", column.name)
    for name in RANKED:
        op.drop_index(f"ix_violations_project_{name}", table_name="violations")
        op.drop_index(f"ix_violations_{name}", table_name="violations")
    op.drop_index("ix_violations_project_id", table_name="violations")
    for column in _violation_columns():
        op.drop_column("violations", column.name)
    op.create_index("ix_violations_project_id", "violations", ["project_id", "id", "noise_class"], unique=False)


def _violation_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("stored_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("state_at", sa.BigInteger(), nullable=True),
        sa.Column("state_by", sa.Text(), nullable=True),
        sa.Column("resolved_under", sa.Text(), nullable=True),
        sa.Column("ranked_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("ranked_seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("volume", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("usual", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("trend", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("days", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("seen_day", sa.Integer(), server_default=sa.text("0"), nullable=False),
    ]


def _violations() -> None:
    for column in _violation_columns():
        op.add_column("violations", column)
    op.execute("UPDATE violations SET ranked_count = count, ranked_seen = last_seen, stored_at = first_seen")
    for name in RANKED:
        op.create_index(f"ix_violations_{name}", "violations", [name, "id", "noise_class", "state"], unique=False)
        columns = ["project_id", name, "id", "noise_class", "state"]
        op.create_index(f"ix_violations_project_{name}", "violations", columns, unique=False)
    op.drop_index("ix_violations_project_id", table_name="violations")
    op.create_index("ix_violations_project_id", "violations", ["project_id", "id", "noise_class", "state"], unique=False)


def _project_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.Column("allowed_origins", sa.Text(), nullable=True),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("sample_rate", sa.Double(), server_default=sa.text("1"), nullable=False),
        sa.Column("ingest_rate", sa.BigInteger(), nullable=True),
    ]


def _projects() -> None:
    for column in _project_columns():
        op.add_column("projects", column)
    op.create_table(
        "project_activity",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        _foreign("project_activity", "project_id", "projects"),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_project_activity")),
    )
    op.create_table(
        "project_members",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("project_id", ID, nullable=False),
        _foreign("project_members", "user_id", "users"),
        _foreign("project_members", "project_id", "projects"),
        sa.PrimaryKeyConstraint("user_id", "project_id", name=op.f("pk_project_members")),
    )
    op.create_index(op.f("ix_project_members_project_id"), "project_members", ["project_id"], unique=False)


def _facets() -> None:
    op.create_table(
        "violation_facets",
        sa.Column("violation_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        _foreign("violation_facets", "violation_id", "violations"),
        sa.PrimaryKeyConstraint("violation_id", "kind", "value", name=op.f("pk_violation_facets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "violation_clients",
        sa.Column("violation_id", ID, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.Column("peak", sa.Integer(), nullable=False),
        _foreign("violation_clients", "violation_id", "violations"),
        sa.PrimaryKeyConstraint("violation_id", name=op.f("pk_violation_clients")),
    )
    op.create_table(
        "csp_policies",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        _foreign("csp_policies", "project_id", "projects"),
        sa.PrimaryKeyConstraint("project_id", "hash", name=op.f("pk_csp_policies")),
    )


def _acts() -> None:
    op.create_table(
        "violation_audit",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state_by", sa.Text(), nullable=False),
        sa.Column("old_state", sa.Text(), nullable=False),
        sa.Column("new_state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        _foreign("violation_audit", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_violation_audit")),
    )
    op.create_index(op.f("ix_violation_audit_at"), "violation_audit", ["at"], unique=False)
    op.create_index(op.f("ix_violation_audit_fingerprint"), "violation_audit", ["fingerprint"], unique=False)
    op.create_table(
        "ignore_rules",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("project_id", ID, nullable=True),
        sa.Column("effective_directive", sa.Text(), nullable=True),
        sa.Column("blocked_key", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        _foreign("ignore_rules", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ignore_rules")),
    )
    op.create_index(op.f("ix_ignore_rules_project_id"), "ignore_rules", ["project_id"], unique=False)


def _foreign(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}"), ondelete="CASCADE")
