"""Running sums of AI bridge records, begun with the records that are kept.

Revision: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

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
UP_TO_MS = (500, 2_000, 5_000, 15_000, 30_000, 60_000, 120_000)
LASTED = (*(f"up_to_{limit}_ms" for limit in UP_TO_MS), "longer")
KEYS = {
    "aibridge_totals": ("initiator_id",),
    "aibridge_duration_totals": (),
    "aibridge_tool_totals": ("injected", "server_url", "tool"),
}
SUMS = {
    "aibridge_totals": ("interceptions", "prompts", *KINDS),
    "aibridge_duration_totals": (*LASTED, "duration_ms"),
    "aibridge_tool_totals": ("calls",),
}
WHOSE = "i.deployment, substr(i.provider, 1, 100) AS provider, substr(coalesce(i.model, ''), 1, 100) AS model"
INITIATOR = "substr(coalesce(i.initiator_id, ''), 1, 100) AS initiator_id"


def upgrade() -> None:
    for name, keys in KEYS.items():
        all_keys = ("deployment", "provider", "model", *keys)
        op.create_table(
            name,
            *(sa.Column(key, sa.Boolean() if key == "injected" else sa.Text(), nullable=False) for key in all_keys),
            *(sa.Column(column, sa.BigInteger(), nullable=False) for column in (*SUMS[name], "counted_at")),
            sa.PrimaryKeyConstraint(*all_keys, name=op.f(f"pk_{name}")),
            sqlite_with_rowid=False,
        )
    op.execute(_filled("aibridge_totals", _used()))
    op.execute(_filled("aibridge_duration_totals", _durations()))
    op.execute(_filled("aibridge_tool_totals", _calls()))


def downgrade() -> None:
    for name in KEYS:
        op.drop_table(name)


def _filled(name: str, selected: str) -> str:
    keys = ", ".join(("deployment", "provider", "model", *KEYS[name]))
    sums = ", ".join(SUMS[name])
    summed = ", ".join(f"SUM({column})" for column in SUMS[name])
    return (
        f"INSERT INTO {name} ({keys}, {sums}, counted_at)"  # noqa: S608 — of names in this file
        f" SELECT {keys}, {summed}, MAX(received_at) FROM ({selected}) AS rows_of_now GROUP BY {keys}"
    )


def _used() -> str:
    """An interception counts once it has ended, and whatever belongs to it once it has started."""

    def part(table: str, **counted: str) -> str:
        columns = ", ".join(f"{counted.get(name, '0')} AS {name}" for name in SUMS["aibridge_totals"])
        return f"SELECT {WHOSE}, {INITIATOR}, {columns}, i.received_at FROM aibridge_interceptions AS i {table}"  # noqa: S608

    def belonging(table: str) -> str:
        return f"JOIN {table} AS r ON r.interception = i.id WHERE i.provider IS NOT NULL"

    return " UNION ALL ".join(
        (
            part("WHERE i.provider IS NOT NULL AND i.ended_at IS NOT NULL", interceptions="1"),
            part(belonging("aibridge_prompts"), prompts="1"),
            part(belonging("aibridge_token_usages"), **{kind: f"r.{kind}" for kind in KINDS}),
        )
    )


def _durations() -> str:
    took = "CASE WHEN i.ended_at > i.started_at THEN i.ended_at - i.started_at ELSE 0 END"
    limits = (-1, *UP_TO_MS)
    counted = [
        f"CASE WHEN took > {low} AND took <= {high} THEN 1 ELSE 0 END AS up_to_{high}_ms"
        for low, high in zip(limits, UP_TO_MS, strict=False)
    ]
    counted.append(f"CASE WHEN took > {UP_TO_MS[-1]} THEN 1 ELSE 0 END AS longer")
    return (
        f"SELECT deployment, provider, model, {', '.join(counted)}, took AS duration_ms, received_at FROM ("  # noqa: S608
        f"SELECT {WHOSE}, {took} AS took, i.received_at FROM aibridge_interceptions AS i"
        " WHERE i.provider IS NOT NULL AND i.ended_at IS NOT NULL) AS ended"
    )


def _calls() -> str:
    named = "r.injected AS injected, substr(r.server_url, 1, 100) AS server_url, substr(r.tool, 1, 100) AS tool"
    return (
        f"SELECT {WHOSE}, {named}, 1 AS calls, i.received_at FROM aibridge_interceptions AS i"  # noqa: S608
        " JOIN aibridge_tool_usages AS r ON r.interception = i.id WHERE i.provider IS NOT NULL"
    )
