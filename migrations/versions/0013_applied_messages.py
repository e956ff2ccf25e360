"""Which messages of a stream are applied.

Revision: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "message_streams",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_streams")),
        sa.UniqueConstraint("name", "created_at", name=op.f("uq_message_streams_name_created_at")),
    )
    op.create_table(
        "applied_messages",
        sa.Column("stream", ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "number", name=op.f("pk_applied_messages")),
        sa.ForeignKeyConstraint(
            ["stream"],
            ["message_streams.id"],
            name=op.f("fk_applied_messages_stream_message_streams"),
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("applied_messages")
    op.drop_table("message_streams")
