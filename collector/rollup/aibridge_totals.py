"""The running sums of AI bridge records -> what one deployment has used of models since it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, select

from collector.persist.aibridge_tables import (
    LASTED,
    UP_TO_MS,
    aibridge_duration_totals,
    aibridge_tool_totals,
    aibridge_totals,
)
from collector.rollup.pieces import pieces
from collector.wire.aibridge import KINDS, Tokens

BOUNDS_S = tuple(limit / 1000 for limit in UP_TO_MS)
MOST_MODELS = 2_000  # whose times are told: of more the store keeps none


class ModelTotal(msgspec.Struct, frozen=True, gc=False):
    """What one user has used one model for. ``interceptions`` have ended."""

    provider: str
    model: str
    initiator_id: str
    interceptions: int
    prompts: int
    tokens: Tokens


class DurationTotal(msgspec.Struct, frozen=True, gc=False):
    """How long interceptions of one model took: how many up to each of ``BOUNDS_S``, how many longer, and all together."""

    provider: str
    model: str
    counts: tuple[int, ...]
    seconds: float


class ToolTotal(msgspec.Struct, frozen=True, gc=False):
    """How often one model called one tool; ``server`` is "" where none was named."""

    provider: str
    model: str
    injected: bool
    server: str
    tool: str
    calls: int


class AiTotals(NamedTuple):
    """All of them at one moment, in no order."""

    models: tuple[ModelTotal, ...] = ()
    durations: tuple[DurationTotal, ...] = ()
    tools: tuple[ToolTotal, ...] = ()


def ai_totals(connection: Connection, deployment: str) -> AiTotals:
    """The sums of ``deployment``."""
    return AiTotals(
        models=tuple(_models(connection, deployment)),
        durations=tuple(_durations(connection, deployment)),
        tools=tuple(_tools(connection, deployment)),
    )


def _rows(connection: Connection, table: Table, deployment: str, *names: str, most: int | None = None) -> Iterator[Any]:
    selected = select(*(table.c[name] for name in names)).where(table.c.deployment == deployment)
    if most is not None:
        selected = selected.order_by(*(table.c[name] for name in names)).limit(most)
    return pieces(connection, selected)


def _models(connection: Connection, deployment: str) -> Iterator[ModelTotal]:
    names = "provider", "model", "initiator_id", "interceptions", "prompts"
    for provider, model, initiator_id, interceptions, prompts, *tokens in _rows(
        connection, aibridge_totals, deployment, *names, *KINDS
    ):
        yield ModelTotal(provider, model, initiator_id, interceptions, prompts, Tokens(*tokens))


def _durations(connection: Connection, deployment: str) -> Iterator[DurationTotal]:
    names = "provider", "model", "duration_ms", *LASTED
    for provider, model, took, *counts in _rows(connection, aibridge_duration_totals, deployment, *names, most=MOST_MODELS):
        yield DurationTotal(provider, model, tuple(counts), took / 1000)


def _tools(connection: Connection, deployment: str) -> Iterator[ToolTotal]:
    names = "provider", "model", "injected", "server_url", "tool", "calls"
    return (ToolTotal(*row) for row in _rows(connection, aibridge_tool_totals, deployment, *names))
