"""The first tables.

Revision: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "agent_report_ids",
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("report_id", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "report_id", name=op.f("pk_agent_report_ids")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_agent_report_ids_received_at"), "agent_report_ids", ["received_at"], unique=False)
    op.create_table(
        "agent_stats",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("agent", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("collected_at", sa.BigInteger(), nullable=True),
        sa.Column("connection_count", sa.BigInteger(), nullable=False),
        sa.Column("connection_median_latency_ms", sa.Double(), nullable=False),
        sa.Column("rx_packets", sa.BigInteger(), nullable=False),
        sa.Column("rx_bytes", sa.BigInteger(), nullable=False),
        sa.Column("tx_packets", sa.BigInteger(), nullable=False),
        sa.Column("tx_bytes", sa.BigInteger(), nullable=False),
        sa.Column("session_count_vscode", sa.BigInteger(), nullable=False),
        sa.Column("session_count_jetbrains", sa.BigInteger(), nullable=False),
        sa.Column("session_count_reconnecting_pty", sa.BigInteger(), nullable=False),
        sa.Column("session_count_ssh", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_stats")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_agent_stats_received_at", "agent_stats", ["received_at"], unique=False)
    op.create_table(
        "agents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=True),
        sa.Column("workspace_name", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("template_name", sa.Text(), nullable=True),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("deployment", "agent_id", name=op.f("uq_agents_deployment_agent_id")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "snapshots",
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("collected_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("aggregated_from", sa.BigInteger(), nullable=False),
        sa.Column("next_update_at", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("building", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.BigInteger(), nullable=False),
        sa.Column("connection_latency_p50_ms", sa.Double(), nullable=False),
        sa.Column("connection_latency_p95_ms", sa.Double(), nullable=False),
        sa.Column("rx_bytes", sa.BigInteger(), nullable=False),
        sa.Column("tx_bytes", sa.BigInteger(), nullable=False),
        sa.Column("session_count_vscode", sa.BigInteger(), nullable=False),
        sa.Column("session_count_ssh", sa.BigInteger(), nullable=False),
        sa.Column("session_count_jetbrains", sa.BigInteger(), nullable=False),
        sa.Column("session_count_reconnecting_pty", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "collected_at", name=op.f("pk_snapshots")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_snapshots_collected_at", "snapshots", ["collected_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "workspaces",
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("build_number", sa.BigInteger(), nullable=True),
        sa.Column("transition", sa.Text(), nullable=True),
        sa.Column("build_created_at", sa.BigInteger(), nullable=True),
        sa.Column("job_started_at", sa.BigInteger(), nullable=True),
        sa.Column("job_canceled_at", sa.BigInteger(), nullable=True),
        sa.Column("job_completed_at", sa.BigInteger(), nullable=True),
        sa.Column("job_error", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "id", name=op.f("pk_workspaces")),
    )
    op.create_index(
        "ix_workspaces_deleted",
        "workspaces",
        ["updated_at"],
        unique=False,
        sqlite_where=sa.text("deleted = 1"),
        postgresql_where=sa.text("deleted"),
    )
    op.create_table(
        "writer_marks",
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_writer_marks")),
    )
    op.create_table(
        "csp_totals",
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("effective_directive", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("noise_class", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_csp_totals_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "effective_directive", "disposition", "noise_class", name=op.f("pk_csp_totals")),
    )
    op.create_table(
        "drop_totals",
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_drop_totals_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "reason", name=op.f("pk_drop_totals")),
    )
    op.create_table(
        "ingest_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("allowed_origins", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_ingest_keys_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_keys")),
    )
    op.create_index(op.f("ix_ingest_keys_project_id"), "ingest_keys", ["project_id"], unique=False)
    op.create_table(
        "other_report_totals",
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_other_report_totals_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "type", name=op.f("pk_other_report_totals")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"], unique=False)
    op.create_table(
        "violations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("effective_directive", sa.Text(), nullable=True),
        sa.Column("blocked_kind", sa.Text(), nullable=False),
        sa.Column("blocked_origin", sa.Text(), nullable=True),
        sa.Column("blocked_key", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("document_origin", sa.Text(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("noise_class", sa.Text(), nullable=True),
        sa.Column("noise_rule", sa.Text(), nullable=True),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("count_enforce", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("count_report", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("count_unknown", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_violations_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_violations")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_violations_fingerprint")),
    )
    op.create_index(
        "ix_violations_noise",
        "violations",
        ["id"],
        unique=False,
        sqlite_where=sa.text("noise_class IS NOT NULL"),
        postgresql_where=sa.text("noise_class IS NOT NULL"),
    )
    op.create_index("ix_violations_project_id", "violations", ["project_id", "id", "noise_class"], unique=False)
    op.create_index(
        "ix_violations_signal",
        "violations",
        ["id"],
        unique=False,
        sqlite_where=sa.text("noise_class IS NULL"),
        postgresql_where=sa.text("noise_class IS NULL"),
    )
    op.create_table(
        "csp_days",
        sa.Column("violation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("enforce", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("report", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["violation_id"], ["violations.id"], name=op.f("fk_csp_days_violation_id_violations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("violation_id", "bucket", name=op.f("pk_csp_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "csp_hours",
        sa.Column("violation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("enforce", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("report", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["violation_id"], ["violations.id"], name=op.f("fk_csp_hours_violation_id_violations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("violation_id", "bucket", name=op.f("pk_csp_hours")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "csp_minutes",
        sa.Column("violation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("enforce", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("report", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["violation_id"], ["violations.id"], name=op.f("fk_csp_minutes_violation_id_violations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("violation_id", "bucket", name=op.f("pk_csp_minutes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "csp_samples",
        sa.Column("violation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("document_uri", sa.Text(), nullable=True),
        sa.Column("referrer", sa.Text(), nullable=True),
        sa.Column("blocked_uri", sa.Text(), nullable=True),
        sa.Column("source_file", sa.Text(), nullable=True),
        sa.Column("line_number", sa.Integer(), nullable=True),
        sa.Column("column_number", sa.Integer(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("script_sample", sa.Text(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["violation_id"], ["violations.id"], name=op.f("fk_csp_samples_violation_id_violations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("violation_id", "slot", name=op.f("pk_csp_samples")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("csp_samples")
    op.drop_table("csp_minutes")
    op.drop_table("csp_hours")
    op.drop_table("csp_days")
    op.drop_index(
        "ix_violations_signal",
        table_name="violations",
        sqlite_where=sa.text("noise_class IS NULL"),
        postgresql_where=sa.text("noise_class IS NULL"),
    )
    op.drop_index("ix_violations_project_id", table_name="violations")
    op.drop_index(
        "ix_violations_noise",
        table_name="violations",
        sqlite_where=sa.text("noise_class IS NOT NULL"),
        postgresql_where=sa.text("noise_class IS NOT NULL"),
    )
    op.drop_table("violations")
    op.drop_index(op.f("ix_tokens_user_id"), table_name="tokens")
    op.drop_table("tokens")
    op.drop_table("other_report_totals")
    op.drop_index(op.f("ix_ingest_keys_project_id"), table_name="ingest_keys")
    op.drop_table("ingest_keys")
    op.drop_table("drop_totals")
    op.drop_table("csp_totals")
    op.drop_table("writer_marks")
    op.drop_index(
        "ix_workspaces_deleted",
        table_name="workspaces",
        sqlite_where=sa.text("deleted = 1"),
        postgresql_where=sa.text("deleted"),
    )
    op.drop_table("workspaces")
    op.drop_table("users")
    op.drop_index("ix_snapshots_collected_at", table_name="snapshots")
    op.drop_table("snapshots")
    op.drop_table("projects")
    op.drop_table("meta")
    op.drop_table("agents")
    op.drop_index("ix_agent_stats_received_at", table_name="agent_stats")
    op.drop_table("agent_stats")
    op.drop_index(op.f("ix_agent_report_ids_received_at"), table_name="agent_report_ids")
    op.drop_table("agent_report_ids")
