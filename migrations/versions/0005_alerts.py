"""What was told about violations.

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "csp_alerts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("violation_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.BigInteger(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["violation_id"], ["violations.id"], name=op.f("fk_csp_alerts_violation_id_violations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_csp_alerts")),
        sa.UniqueConstraint("violation_id", "kind", "about", name=op.f("uq_csp_alerts_violation_id_kind_about")),
    )
    op.create_index(op.f("ix_csp_alerts_raised_at"), "csp_alerts", ["raised_at"], unique=False)
    op.create_index(op.f("ix_csp_alerts_next_at"), "csp_alerts", ["next_at"], unique=False)


def downgrade() -> None:
    op.drop_table("csp_alerts")
