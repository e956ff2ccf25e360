"""How many builds of a workspace have ended.

Revision: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "workspace_build_totals",
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("transition", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "deployment", "workspace_id", "transition", "succeeded", name=op.f("pk_workspace_build_totals")
        ),
        sa.ForeignKeyConstraint(
            ["deployment", "workspace_id"],
            ["workspaces.deployment", "workspaces.id"],
            name=op.f("fk_workspace_build_totals_deployment_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("workspace_build_totals")
