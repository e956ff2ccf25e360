"""What AI models were used for lately: read from the rows with each snapshot, and told by the exporter.

These are windows that move, and what comes late is in the next reading: an old log that is read in shows where it belongs,
or nowhere. The sums that only grow are in ``aibridge_totals.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, func, select

from collector.persist.aibridge_tables import aibridge_interceptions, aibridge_token_usages, aibridge_tool_usages
from collector.rollup.prices import NOTHING, Cost, PriceList, cost
from collector.wire.aibridge import KINDS, PARTS, Tokens

WINDOWS = {"1h": 3_600_000, "24h": 86_400_000}  # ms
MODELS, TOOLS, DEPLOYMENTS = 40, 40, 100  # named in one window; all others together are OTHER
MOST_GROUPS = 10_000  # read of one window
OTHER, UNKNOWN = "other", "unknown"
LONGEST_NAME = 100  # characters: names come from logs, and are labels

_interceptions = aibridge_interceptions.c

Key = tuple[str, ...]
NO_TOKENS: Counter[str] = Counter()  # never added to in place


class ModelUse(NamedTuple):
    """What one model was used for; "unknown" while the start of an interception has not come."""

    interceptions: int = 0
    unfinished: int = 0
    tokens: Counter[str] = NO_TOKENS  # by the kinds that add up to all tokens
    cost: Cost = NOTHING

    def __add__(self, other: ModelUse) -> ModelUse:  # type: ignore[override] # sums, not concatenation
        return ModelUse(
            self.interceptions + other.interceptions,
            self.unfinished + other.unfinished,
            self.tokens + other.tokens,
            self.cost + other.cost,
        )


class ToolUse(NamedTuple):
    """Calls of one tool, those that failed among them."""

    calls: int = 0
    failed: int = 0

    def __add__(self, other: ToolUse) -> ToolUse:  # type: ignore[override] # sums, not concatenation
        return ToolUse(self.calls + other.calls, self.failed + other.failed)


class Cut(NamedTuple):
    """How many groups more there were at least than are read of one window: they are in none of its numbers."""

    interceptions: int = 0
    tokens: int = 0
    tools: int = 0
    users: int = 0


class Recent(NamedTuple):
    """Interceptions that started within one window: by deployment, provider and model; by deployment and tool; and users."""

    window: str
    models: dict[Key, ModelUse]
    tools: dict[Key, ToolUse]
    users: dict[Key, int]  # by deployment
    cut: Cut = Cut()


def recent_use(connection: Connection, *, now: int, prices: PriceList | None) -> tuple[Recent, ...]:
    """All windows that end at ``now`` (ms)."""
    return tuple(recent(connection, window, since=now - span, until=now, prices=prices) for window, span in WINDOWS.items())


def recent(
    connection: Connection, window: str, *, since: int, until: int, prices: PriceList | None, most: int = MOST_GROUPS
) -> Recent:
    """What was used of the interceptions that started after ``since`` and not after ``until`` (ms), by the largest groups."""
    started = _interceptions.started_at > since, _interceptions.started_at <= until
    names = _interceptions.deployment, _interceptions.provider, _interceptions.model
    of_each = [
        connection.execute(selected.where(*started).limit(most + 1)).all()
        for selected in (_counts(*names), _token_sums(*names), _tool_calls(), _users())
    ]
    counts, tokens, calls, initiators = (rows[:most] for rows in of_each)
    models = [(_key(*key), ModelUse(count, unfinished)) for *key, count, unfinished in counts]
    models += [(_key(*key), _tokens(key[1], key[2], sums, prices)) for *key, sums in _split(tokens)]
    tools = [(_key(deployment, tool), ToolUse(number, failed)) for deployment, tool, number, failed in calls]
    users = [(_key(deployment), count) for deployment, count in initiators]
    return Recent(
        window,
        _named(models, ModelUse(), MODELS, lambda use: use.tokens.total()),
        _named(tools, ToolUse(), TOOLS, lambda use: use.calls),
        _named(users, 0, DEPLOYMENTS, lambda count: count),
        Cut(*(len(rows) - len(rows[:most]) for rows in of_each)),
    )


def _key(*names: str | None) -> Key:
    return tuple(UNKNOWN if name is None else name[:LONGEST_NAME] for name in names)


def _named(found: Iterable[tuple[Key, Any]], nothing: Any, most: int, weight: Callable[[Any], int]) -> dict[Key, Any]:
    """The heaviest ``most`` of what was ``found``, each once, and all others together."""
    uses: dict[Key, Any] = {}
    for key, use in found:
        uses[key] = uses.get(key, nothing) + use
    ordered = sorted(uses, key=lambda key: (-weight(uses[key]), key))
    named = {key: uses[key] for key in ordered[:most]}
    for key in ordered[most:]:
        other = (OTHER,) * len(key)
        named[other] = named.get(other, nothing) + uses[key]
    return named


def _counts(*names: Any) -> Select[Any]:
    unfinished = func.count().filter(_interceptions.ended_at.is_(None))
    counted = select(*names, func.count(), unfinished).select_from(aibridge_interceptions).group_by(*names)
    return counted.order_by(func.count().desc(), *names)


def _token_sums(*names: Any) -> Select[Any]:
    used = aibridge_token_usages.c
    sums = [func.coalesce(func.sum(used[kind]), 0) for kind in KINDS]
    summed = select(*names, *sums).join_from(aibridge_interceptions, aibridge_token_usages).group_by(*names)
    return summed.order_by(*(one.desc() for one in sums), *names)


def _split(rows: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    return ((*row[: -len(KINDS)], Tokens(*map(int, row[-len(KINDS) :]))) for row in rows)


def _tokens(provider: str | None, model: str | None, tokens: Tokens, prices: PriceList | None) -> ModelUse:
    kinds = {kind: count for kind, count in msgspec.structs.asdict(tokens).items() if kind in PARTS}
    return ModelUse(tokens=Counter(kinds), cost=cost(tokens, prices.of(provider, model) if prices else None))


def _tool_calls() -> Select[Any]:
    used = aibridge_tool_usages.c
    failed = func.count().filter(used.invocation_error != "")
    names = _interceptions.deployment, used.tool
    counted = select(*names, func.count(), failed).join_from(aibridge_interceptions, aibridge_tool_usages).group_by(*names)
    return counted.order_by(func.count().desc(), *names)


def _users() -> Select[Any]:
    distinct = func.count(_interceptions.initiator_id.distinct())
    counted = select(_interceptions.deployment, distinct).group_by(_interceptions.deployment)
    return counted.order_by(distinct.desc(), _interceptions.deployment)
