"""The tables of the AI bridge: interceptions, and the records that belong to them. ``tables.py`` has the others.

They grow with the use of models, and are bounded by CODER_AIBRIDGE_RETENTION (60 d): an interception goes with all that
belongs to it. The totals at the end stay; ``aibridge_totals.py`` bounds and ``rollup/retention.py`` ends them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint

from collector.persist.columns import Id, metadata, numbers
from collector.wire.aibridge import KINDS

# One row an interception. Its other records may come before its start: until that has come, provider is NULL and
# started_at the earliest time of any of them.
aibridge_interceptions = Table(
    "aibridge_interceptions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("deployment", Text, nullable=False),
    Column("interception_id", Text, nullable=False),
    Column("initiator_id", Text),
    Column("api_key_id", Text),
    Column("provider", Text),
    Column("model", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # NULL: not yet, or never
    Column("received_at", BigInteger, nullable=False),  # of the newest of its records
    UniqueConstraint("deployment", "interception_id"),
    Index("ix_aibridge_interceptions_started_at", "started_at"),
)


def _of_an_interception(name: str, *columns: Column[Any], rowid: bool = True) -> Table:
    return Table(
        name,
        metadata,
        Column("interception", Id, ForeignKey("aibridge_interceptions.id", ondelete="CASCADE"), primary_key=True),
        Column("key", LargeBinary, primary_key=True),  # 16 bytes: a keyed hash of all that counts in the record
        Column("created_at", BigInteger, nullable=False),
        *columns,
        sqlite_with_rowid=rowid,
    )


aibridge_token_usages = _of_an_interception("aibridge_token_usages", *numbers(*KINDS), rowid=False)

# Of each text there is the length in characters and a keyed hash; the text itself is NULL unless prompts are to be stored.
aibridge_prompts = _of_an_interception(
    "aibridge_prompts",
    Column("prompt_length", BigInteger, nullable=False),
    Column("prompt_hash", Text, nullable=False),
    Column("prompt", Text),
)
aibridge_tool_usages = _of_an_interception(
    "aibridge_tool_usages",
    Column("tool", Text, nullable=False),
    Column("server_url", Text, nullable=False),
    Column("injected", Boolean, nullable=False),
    Column("invocation_error", Text, nullable=False),  # "" when it worked
    Column("input_length", BigInteger, nullable=False),
    Column("input_hash", Text, nullable=False),
    Column("input", Text),
)
aibridge_model_thoughts = _of_an_interception(
    "aibridge_model_thoughts",
    Column("content_length", BigInteger, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("content", Text),
)

OF_AN_INTERCEPTION = (aibridge_token_usages, aibridge_prompts, aibridge_tool_usages, aibridge_model_thoughts)

# ── Running sums, which retention of the rows above does not lower. Names are cut to 100 characters ─────────────────────
# By these the times of interceptions are told apart, as Coder tells them apart: up to so many ms, and those of more.
UP_TO_MS = (500, 2_000, 5_000, 15_000, 30_000, 60_000, 120_000)
LASTED = (*(f"up_to_{limit}_ms" for limit in UP_TO_MS), "longer")


def _totals(name: str, keys: tuple[Column[Any], ...], *sums: str) -> Table:
    return Table(
        name,
        metadata,
        Column("deployment", Text, primary_key=True),
        Column("provider", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        *keys,
        *numbers(*sums),
        Column("counted_at", BigInteger, nullable=False),  # when the row last grew
        sqlite_with_rowid=False,
    )


# Interceptions that have ended, prompts, and tokens by kind: 20,000 rows a deployment, the rest together in one more.
aibridge_totals = _totals(
    "aibridge_totals", (Column("initiator_id", Text, primary_key=True),), "interceptions", "prompts", *KINDS
)
# How long they took: how many by ``UP_TO_MS``, and all together. 1,900 rows a deployment and one more.
aibridge_duration_totals = _totals("aibridge_duration_totals", (), *LASTED, "duration_ms")
# Calls of tools: 20,000 rows a deployment and two more.
aibridge_tool_totals = _totals(
    "aibridge_tool_totals",
    (
        Column("injected", Boolean, primary_key=True),
        Column("server_url", Text, primary_key=True),
        Column("tool", Text, primary_key=True),
    ),
    "calls",
)
TOTALS = (aibridge_totals, aibridge_duration_totals, aibridge_tool_totals)
