"""Agent reports by the day, on PostgreSQL.

Revision: 0014
Revises: 0013
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

DAY_MS = 86_400_000
AHEAD, FAR = 3, 400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = (
    "id, agent, received_at, collected_at, connection_count, connection_median_latency_ms, rx_packets, rx_bytes, tx_packets,"
    " tx_bytes, session_count_vscode, session_count_jetbrains, session_count_reconnecting_pty, session_count_ssh"
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    _set_aside()
    # The key holds what rows are parted by, as PostgreSQL asks for. Ids still come from one sequence.
    op.execute("CREATE TABLE agent_stats (LIKE agent_stats_before INCLUDING DEFAULTS) PARTITION BY RANGE (received_at)")
    op.execute("ALTER TABLE agent_stats ADD CONSTRAINT pk_agent_stats PRIMARY KEY (id, received_at)")
    op.execute("CREATE INDEX ix_agent_stats_received_at ON agent_stats (received_at)")
    op.execute("CREATE TABLE agent_stats_strays PARTITION OF agent_stats DEFAULT")
    for day in _days():
        name = f"agent_stats_{EPOCH + timedelta(days=day):%Y%m%d}"
        values = f"FROM ({day * DAY_MS}) TO ({(day + 1) * DAY_MS})"
        op.execute(f"CREATE TABLE {name} PARTITION OF agent_stats FOR VALUES {values}")
    _move_back()


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    _set_aside()
    op.execute("CREATE TABLE agent_stats (LIKE agent_stats_before INCLUDING DEFAULTS)")
    op.execute("ALTER TABLE agent_stats ADD CONSTRAINT pk_agent_stats PRIMARY KEY (id)")
    op.execute("CREATE INDEX ix_agent_stats_received_at ON agent_stats (received_at)")
    _move_back()


def _days() -> list[int]:
    """Those of which there are reports, and the next ones, counted from the epoch. What lies far away goes astray."""
    connection = op.get_bind()
    today = connection.scalar(sa.text("SELECT CAST(extract(epoch FROM now()) AS BIGINT)")) * 1000 // DAY_MS
    received = sa.text("SELECT DISTINCT received_at / :day FROM agent_stats_before").bindparams(
        sa.bindparam("day", DAY_MS, sa.BigInteger())
    )
    found = set(connection.scalars(received))
    return sorted({day for day in found if today - FAR <= day <= today + AHEAD} | {today + ahead for ahead in range(AHEAD + 1)})


def _set_aside() -> None:
    op.execute("LOCK TABLE agent_stats IN ACCESS EXCLUSIVE MODE")
    op.execute("ALTER TABLE agent_stats RENAME TO agent_stats_before")
    op.execute("ALTER TABLE agent_stats_before RENAME CONSTRAINT pk_agent_stats TO pk_agent_stats_before")
    op.execute("ALTER INDEX ix_agent_stats_received_at RENAME TO ix_agent_stats_before")


def _move_back() -> None:
    op.execute(f"INSERT INTO agent_stats ({COLUMNS}) SELECT {COLUMNS} FROM agent_stats_before")  # noqa: S608 — ours
    op.execute("ALTER SEQUENCE agent_stats_id_seq OWNED BY agent_stats.id")
    op.execute("DROP TABLE agent_stats_before")
