"""The AI bridge.

Revision: 0007
Revises: 0006
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

KINDS = (
    "input",
    "output",
    "cache_read_input",
    "cache_creation_input",
    "cache_ephemeral_5m_input",
    "cache_ephemeral_1h_input",
    "audio_input",
    "audio_output",
    "reasoning_output",
    "web_search_requests",
)
TEXTS = {
    "aibridge_prompts": ("prompt", ()),
    "aibridge_tool_usages": (
        "input",
        (("tool", sa.Text()), ("server_url", sa.Text()), ("injected", sa.Boolean()), ("invocation_error", sa.Text())),
    ),
    "aibridge_model_thoughts": ("content", ()),
}


def upgrade() -> None:
    op.create_table(
        "aibridge_interceptions",
        sa.Column("id", _id(), autoincrement=True, nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("interception_id", sa.Text(), nullable=False),
        sa.Column("initiator_id", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aibridge_interceptions")),
        sa.UniqueConstraint("deployment", "interception_id", name=op.f("uq_aibridge_interceptions_deployment_interception_id")),
    )
    op.create_index("ix_aibridge_interceptions_started_at", "aibridge_interceptions", ["started_at"], unique=False)
    counts = [sa.Column(kind, sa.BigInteger(), nullable=False) for kind in KINDS]
    _create_of_an_interception("aibridge_token_usages", *counts, rowid=False)
    for table, (text, others) in TEXTS.items():
        _create_of_an_interception(
            table,
            *(sa.Column(name, kind, nullable=False) for name, kind in others),
            sa.Column(f"{text}_length", sa.BigInteger(), nullable=False),
            sa.Column(f"{text}_hash", sa.Text(), nullable=False),
            sa.Column(text, sa.Text(), nullable=True),
        )


def downgrade() -> None:
    for table in ("aibridge_token_usages", *TEXTS):
        op.drop_table(table)
    op.drop_index("ix_aibridge_interceptions_started_at", table_name="aibridge_interceptions")
    op.drop_table("aibridge_interceptions")


def _id() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_of_an_interception(table: str, *columns: sa.Column[Any], rowid: bool = True) -> None:
    op.create_table(
        table,
        sa.Column("interception", _id(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["interception"],
            ["aibridge_interceptions.id"],
            name=op.f(f"fk_{table}_interception_aibridge_interceptions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("interception", "key", name=op.f(f"pk_{table}")),
        sqlite_with_rowid=rowid,
    )
