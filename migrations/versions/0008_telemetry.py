"""Deployments, their telemetry and inventory, agents that report by themselves, and users whose data was erased.

Revision: 0008
Revises: 0007
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def _numbers(*names: str) -> Iterator[sa.Column[int]]:
    return (sa.Column(name, sa.BigInteger(), nullable=False) for name in names)


def _times(*names: str) -> Iterator[sa.Column[int]]:
    return (sa.Column(name, sa.BigInteger()) for name in names)


def _texts(*names: str, nullable: bool = False) -> Iterator[sa.Column[str]]:
    return (sa.Column(name, sa.Text(), nullable=nullable) for name in names)


def upgrade() -> None:
    op.create_table(
        "deployments",
        *_texts("id"),
        *_numbers("first_seen"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
    )
    op.create_table(
        "telemetry_states",
        *_texts("deployment"),
        *_numbers("message_at", "full_at", "aggregated_from"),
        sa.Column("latency_p50_ms", sa.Double(), nullable=False),
        sa.Column("latency_p95_ms", sa.Double(), nullable=False),
        *_numbers("rx_bytes", "tx_bytes"),
        *_numbers("session_count_vscode", "session_count_ssh", "session_count_jetbrains", "session_count_reconnecting_pty"),
        sa.PrimaryKeyConstraint("deployment", name=op.f("pk_telemetry_states")),
    )
    op.create_table(
        "telemetry_servers",
        *_texts("deployment", "machine_id"),
        *_numbers("seen_at"),
        *_texts("version", "architecture", "os_type", "os_name", "os_version", "install_source", nullable=True),
        sa.Column("kubernetes", sa.Boolean(), nullable=False),
        *_numbers("cpu_cores", "memory_total"),
        *_times("started_at", "shutdown_at"),
        sa.PrimaryKeyConstraint("deployment", "machine_id", name=op.f("pk_telemetry_servers")),
    )
    op.create_index(op.f("ix_telemetry_servers_seen_at"), "telemetry_servers", ["seen_at"])
    _create_inventory()
    _create_builds_and_jobs()
    op.create_table(
        "agent_tokens",
        *_texts("agent_id"),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        *_texts("deployment", "workspace_id", "user_id", "template_id"),
        *_texts("agent_name", "workspace_name", "username", "template_name", nullable=True),
        *_numbers("created_at"),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_agent_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_agent_tokens_token_hash")),
    )
    op.create_table(
        "erased_users",
        *_texts("mark"),
        *_numbers("erased_at"),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_erased_users")),
    )


def _create_inventory() -> None:
    op.create_table(
        "inventory",
        *_texts("deployment", "kind", "id"),
        *_numbers("since"),
        *_times("until", "created_at"),
        *_texts("name", "user_id", nullable=True),
        *_texts("facts"),
        sa.PrimaryKeyConstraint("deployment", "kind", "id", "since", name=op.f("pk_inventory")),
    )
    current, ended = sa.text("until IS NULL"), sa.text("until IS NOT NULL")
    op.create_index(
        "uq_inventory_current",
        "inventory",
        ["deployment", "kind", "id"],
        unique=True,
        sqlite_where=current,
        postgresql_where=current,
    )
    op.create_index("ix_inventory_ended", "inventory", ["until"], sqlite_where=ended, postgresql_where=ended)


def _create_builds_and_jobs() -> None:
    op.create_table(
        "telemetry_builds",
        *_texts("deployment", "workspace_id"),
        *_numbers("build_number"),
        *_texts("id", "job_id"),
        *_texts("template_version_id", nullable=True),
        *_times("created_at"),
        *_numbers("seen_at"),
        sa.PrimaryKeyConstraint("deployment", "workspace_id", "build_number", name=op.f("pk_telemetry_builds")),
    )
    op.create_index(op.f("ix_telemetry_builds_seen_at"), "telemetry_builds", ["seen_at"])
    op.create_table(
        "telemetry_jobs",
        *_texts("deployment", "id"),
        *_numbers("updated_at"),
        *_times("started_at", "canceled_at", "completed_at"),
        sa.Column("failed", sa.Boolean(), nullable=False),
        *_texts("transition", nullable=True),
        *_numbers("seen_at"),
        sa.PrimaryKeyConstraint("deployment", "id", name=op.f("pk_telemetry_jobs")),
    )
    op.create_index(op.f("ix_telemetry_jobs_seen_at"), "telemetry_jobs", ["seen_at"])


def downgrade() -> None:
    for table in (
        "erased_users",
        "agent_tokens",
        "telemetry_jobs",
        "telemetry_builds",
        "inventory",
        "telemetry_servers",
        "telemetry_states",
        "deployments",
    ):
        op.drop_table(table)
