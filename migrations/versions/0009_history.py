"""Snapshots summed up by five minutes, hours and days, their sources, counts of workspaces, and views for PostgreSQL.

Revision: 0009
Revises: 0008
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

STATES = ("pending", "building", "running", "failed", "stopped")
SESSIONS = tuple(f"session_count_{app}" for app in ("vscode", "ssh", "jetbrains", "reconnecting_pty"))
LATENCIES = ("connection_latency_p50_ms", "connection_latency_p95_ms")
SUMS = ("rx_bytes", "tx_bytes")
IN_ORDER = (*STATES, *LATENCIES, *SUMS, *SESSIONS)
SPANS = {"history_minutes": 300, "history_hours": 3_600, "history_days": 86_400}  # seconds
GROUPS = ("counted_at", "pending", "building", "running", "failed", "stopped", "total", "running_max", "total_max")


def upgrade() -> None:
    # Two sources may have a snapshot of the same millisecond.
    _key_snapshots_by("deployment", "collected_at", "source")
    for name, span in SPANS.items():
        op.create_table(
            name,
            sa.Column("deployment", sa.Text(), nullable=False),
            sa.Column("at", sa.BigInteger(), nullable=False),
            sa.Column("source", sa.Text(), nullable=False),
            sa.Column("samples", sa.Integer(), nullable=False),
            sa.Column("aggregated_from", sa.BigInteger(), nullable=False),
            sa.Column("collected_at", sa.BigInteger(), nullable=False),
            sa.Column("next_update_at", sa.BigInteger(), nullable=False),
            *(column for measure in IN_ORDER for column in _measured(measure)),
            sa.PrimaryKeyConstraint("deployment", "at", "source", name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
        op.create_index(op.f(f"ix_{name}_at"), name, ["at"], unique=False)
        op.execute(_folded(name, span * 1000))
    op.create_table(
        "snapshot_sources",
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("last_success_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("deployment", "source", name=op.f("pk_snapshot_sources")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_snapshot_sources_last_success_at"), "snapshot_sources", ["last_success_at"], unique=False)
    op.create_table(
        "workspace_groups",
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("prebuilt", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in GROUPS),
        sa.PrimaryKeyConstraint("deployment", "at", "organization", "template", "prebuilt", name=op.f("pk_workspace_groups")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_workspace_groups_at"), "workspace_groups", ["at"], unique=False)
    if op.get_context().dialect.name == "postgresql":
        op.execute(_stats_view())
        op.execute(_groups_view())


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP VIEW workspace_groups_history")
        op.execute("DROP VIEW stats_history")
    op.execute("DELETE FROM snapshots WHERE source = 'upstream'")  # what made them is not there before this revision
    # Of two of one millisecond the key takes one.
    op.execute("""
        DELETE FROM snapshots WHERE source = 'telemetry' AND EXISTS (
            SELECT 1 FROM snapshots AS better WHERE better.source = 'reports'
            AND better.deployment = snapshots.deployment AND better.collected_at = snapshots.collected_at
        )
    """)
    _key_snapshots_by("deployment", "collected_at")
    for name in ("workspace_groups", "snapshot_sources", "history_days", "history_hours", "history_minutes"):
        op.drop_table(name)


def _key_snapshots_by(*columns: str) -> None:
    with op.batch_alter_table("snapshots", table_kwargs={"sqlite_with_rowid": False}) as batch:
        batch.drop_constraint(op.f("pk_snapshots"), type_="primary")
        batch.create_primary_key(op.f("pk_snapshots"), list(columns))


def _measured(measure: str) -> Iterator[sa.Column[Any]]:
    percentile = measure in LATENCIES
    number: Any = sa.Double() if percentile else sa.BigInteger()
    yield sa.Column(measure, number, nullable=False)
    yield sa.Column(f"{measure}_min", number, nullable=percentile)
    yield sa.Column(f"{measure}_max", number, nullable=percentile)
    if measure in (*STATES, *SESSIONS):
        yield sa.Column(f"{measure}_avg", sa.Double(), nullable=False)


def _folded(name: str, span_ms: int) -> str:
    """What the snapshots that are there add up to: from now on they are kept for less long."""
    gauges, last = (*STATES, *SESSIONS), ("aggregated_from", "collected_at", "next_update_at", *IN_ORDER)
    seen = {column: f"CASE WHEN {column} >= 0 THEN {column} END" if column in LATENCIES else column for column in IN_ORDER}
    sums = {f"{column}_{end}": f"{end}({seen[column]})" for column in IN_ORDER for end in ("min", "max")}
    sums |= {f"{column}_avg": f"avg(CAST({column} AS DOUBLE PRECISION))" for column in gauges}
    at = f"collected_at - collected_at % {span_ms}"
    return f"""
        INSERT INTO {name} (deployment, at, source, samples, {", ".join((*last, *sums))})
        SELECT one.deployment, span.at, one.source, span.samples,
            {", ".join([*(f"one.{column}" for column in last), *(f"span.{column}" for column in sums)])}
        FROM (
            SELECT deployment, source, {at} AS at, count(*) AS samples, max(collected_at) AS last,
                {", ".join(f"{value} AS {column}" for column, value in sums.items())}
            FROM snapshots GROUP BY deployment, source, {at}
        ) AS span
        JOIN snapshots AS one ON one.deployment = span.deployment AND one.source = span.source AND one.collected_at = span.last
    """  # noqa: S608 - every part of it stands above


def _stats_view() -> str:
    """A union, through which nobody can write; a condition on ``span_seconds`` leaves the other tables unread."""
    parts = [_selected(table, span) for table, span in {"snapshots": 0, **SPANS}.items()]
    return f"CREATE VIEW stats_history AS {' UNION ALL '.join(parts)}"


def _groups_view() -> str:
    """With DISTINCT, which changes nothing, nobody can write through it."""
    columns = ["deployment", "at AS at_ms", "to_timestamp(at / 1000.0) AS at", "organization", "template", "prebuilt"]
    columns += ["to_timestamp(counted_at / 1000.0) AS counted_at", *GROUPS[1:]]
    return f"CREATE VIEW workspace_groups_history AS SELECT DISTINCT {', '.join(columns)} FROM workspace_groups"  # noqa: S608 - as above


def _selected(table: str, span: int) -> str:
    single = not span
    at = "collected_at" if single else "at"
    interval = "greatest(next_update_at - collected_at, 1)"
    expected = "1" if single else f"greatest(round({span * 1000}::numeric / {interval}), 1)::integer"
    columns = [
        "deployment",
        "source",
        f"{span} AS span_seconds",
        f"{at} AS at_ms",
        f"to_timestamp({at} / 1000.0) AS at",
        "1 AS samples" if single else "samples",
        f"{expected} AS expected",
        "to_timestamp(collected_at / 1000.0) AS collected_at",
    ]
    for measure in IN_ORDER:
        last = f"nullif({measure}, -1)" if measure in LATENCIES else measure
        columns.append(f"{last} AS {measure}")
        columns += [f"{last if single else f'{measure}_{end}'} AS {measure}_{end}" for end in ("min", "max")]
        if measure in (*STATES, *SESSIONS):
            columns.append(f"{f'{measure}::double precision' if single else f'{measure}_avg'} AS {measure}_avg")
    return f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - every part of it stands above
