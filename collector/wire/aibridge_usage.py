"""GET /aibridge/usage: the question and the answer."""

from __future__ import annotations

import enum

import msgspec
from msgspec import UNSET, UnsetType

from collector.wire.aibridge import Tokens


class GroupKey(enum.StrEnum):
    """What usage can be broken down by."""

    PROVIDER = "provider"
    MODEL = "model"
    INITIATOR = "initiator"
    DAY = "day"  # UTC


class UsageQuery(msgspec.Struct, frozen=True):
    """Interceptions that started at ``since`` or later and before ``until`` (ms), of one deployment or of all."""

    since: int
    until: int
    group_by: tuple[GroupKey, ...] = ()
    deployment: str | None = None


class Durations(msgspec.Struct, frozen=True):
    """Percentiles of the time from start to end in milliseconds, interpolated; -1 when nothing has ended."""

    p50: float = -1.0
    p95: float = -1.0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What some interceptions used. A key is there when it was asked for, and null while the start has not come.

    ``unfinished`` have no end, ``errors`` are calls of tools that failed. ``cost`` is in the currency of the price list, null
    when no token of these has a price; ``unpriced_tokens`` are those that it leaves out.
    """

    provider: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    initiator: str | UnsetType | None = UNSET
    day: str | UnsetType = UNSET  # 2026-01-13
    interceptions: int
    unfinished: int
    prompts: int
    tool_calls: int
    model_thoughts: int
    tokens: Tokens
    duration_ms: Durations
    errors: int
    cost: float | None
    unpriced_tokens: int


class UsageReport(msgspec.Struct, frozen=True):
    """Usage by group, the group keys in ascending order, and of all of them together."""

    results: tuple[Usage, ...]
    total: Usage
    currency: str | None  # of the costs; null without a price list
