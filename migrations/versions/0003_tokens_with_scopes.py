"""Tokens have a name and may have scopes.

Revision: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("tokens", sa.Column("scopes", sa.Text(), nullable=True))


def downgrade() -> None:
    # What a token with scopes may do is no longer known: it would open everything, so it goes.
    op.execute("DELETE FROM tokens WHERE scopes IS NOT NULL")
    with op.batch_alter_table("tokens") as tokens:
        tokens.drop_column("scopes")
        tokens.drop_column("name")
