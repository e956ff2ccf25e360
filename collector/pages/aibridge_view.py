"""What the page about the use of models says: pure functions, no request and no clock of their own."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

from collector.pages import units
from collector.pages.chart import Step, stacked
from collector.pages.view import Link
from collector.wire.aibridge import Tokens
from collector.wire.aibridge_usage import Usage, UsageReport
from collector.wire.identity import User

DAY_MS = 86_400_000
UNPRICED = "\u2013"  # a dash
ROWS = 100  # of one table; the API has all
KINDS = ("input", "cache", "written", "output")
WORDS = ("input", "read from cache", "written to cache", "output")


class Span(enum.Enum):
    """How far back use is counted: its name in the address, in words, in days with today."""

    WEEK = ("7d", "the last 7 days", 7)
    MONTH = ("30d", "the last 30 days", 30)
    QUARTER = ("90d", "the last 90 days", 90)

    def __init__(self, label: str, words: str, days: int) -> None:
        self.label = label
        self.words = words
        self.days = days

    @classmethod
    def named(cls, label: str | None) -> Span:
        """The span of that name; 30 days when there is none."""
        return next((span for span in cls if span.label == label), cls.MONTH)


class Usages(NamedTuple):
    """The same interceptions three times."""

    by_model: UsageReport
    by_user: UsageReport
    by_day: UsageReport


def usage_context(viewer: User, span: Span, found: Usages, *, since: int, now: int) -> dict[str, Any]:
    """Everything that ``aibridge.html`` says. ``since`` (ms) is the begin of the first day."""
    total = found.by_model.total
    by_day = {str(row.day): row for row in found.by_day.results}
    days = [units.iso(since + day * DAY_MS)[:10] for day in range(span.days)]
    none = _parts(Tokens())
    steps = [Step(day, _parts(by_day[day].tokens) if day in by_day else none) for day in days]
    currency = found.by_model.currency
    return {
        "viewer": viewer,
        "span": span.words,
        "ranges": [Link(each.label, f"/aibridge?range={each.label}", each is span) for each in Span],
        "used": total.interceptions > 0,
        "total": _row("", "", total),
        "median": units.latency(total.duration_ms.p50),
        "p95": units.latency(total.duration_ms.p95),
        "currency": currency,
        "unpriced": total.unpriced_tokens,
        "chart": stacked(steps, KINDS, WORDS),
        "legend": list(zip(KINDS, WORDS, strict=True)),
        "models": _ranked([_row(row.model or "not known yet", row.provider or "", row) for row in found.by_model.results]),
        "users": _ranked([_row(row.initiator or "not known yet", "", row) for row in found.by_user.results]),
        "days": [_row(str(row.day), "", row) for row in reversed(found.by_day.results)],
        "today": units.iso(now)[:10],
    }


def cost_text(cost: float | None) -> str:
    """An amount with two decimals, more where they would all be zero."""
    if cost is None:
        return UNPRICED
    if 0 < cost < 0.01:  # noqa: PLR2004  # a cent
        return f"{cost:.4f}"
    return f"{cost:,.2f}".replace(",", "\u202f")


def _ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    most = max((row["all"] for row in rows), default=0) or 1
    ranked = sorted(rows, key=lambda row: (-row["all"], row["name"]))[:ROWS]
    return [{**row, "share": f"{100 * row['all'] / most:.1f}"} for row in ranked]


def _row(name: str, under: str, usage: Usage) -> dict[str, Any]:
    tokens = usage.tokens
    return {
        "name": name,
        "under": under,
        "interceptions": usage.interceptions,
        "prompts": usage.prompts,
        "tool_calls": usage.tool_calls,
        "errors": usage.errors,
        "input": tokens.input,
        "cache": tokens.cache_read_input,
        "written": tokens.cache_creation_input,
        "output": tokens.output,
        "all": sum(_parts(tokens)),
        "cost": cost_text(usage.cost),
    }


def _parts(tokens: Tokens) -> Sequence[int]:
    """The kinds that add up to all tokens, in the order of ``KINDS``."""
    return tokens.input, tokens.cache_read_input, tokens.cache_creation_input, tokens.output
