"""What the exporter says beside running sums: violations as they are kept, and what AI models were used for lately."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.rollup.aibridge_recent import ModelUse, Recent
from collector.rollup.violation_counts import ViolationCounts
from collector.serve import families
from collector.serve.exposition import Sampled, sampled


def violation_series(counts: ViolationCounts) -> Iterator[Sampled]:
    """How many violations there are, how many are new, and the reports of those with most."""
    states, new, top, _ = counts
    kept = (((one.project, one.state, str(one.noise).lower()), one.amount) for one in states)
    yield sampled(families.VIOLATIONS, kept)
    yield sampled(families.NEW_VIOLATIONS, (((one.project, one.noise_class), one.amount) for one in new))
    yield sampled(families.TOP_VIOLATIONS, ((one[:-1], one.amount) for one in top))


def violations_left_out(counts: ViolationCounts) -> dict[str, int]:
    """Whether there are more new violations than are looked at: 1, how many more nobody knows."""
    return {families.NEW_VIOLATIONS.name: int(not counts.all_new)}


def aibridge_left_out(current: Sequence[Recent]) -> dict[str, int]:
    """Whether a window has more groups than are read: 1 a window, how many more nobody knows."""
    names = families.AI_INTERCEPTIONS, families.AI_TOKENS, families.AI_TOOL_CALLS, families.AI_USERS
    cuts = zip(*(recent.cut for recent in current), strict=True)
    return {family.name: sum(cut) for family, cut in zip(names, cuts, strict=True)} if current else {}


def aibridge_series(current: Sequence[Recent], currency: str) -> Iterator[Sampled]:
    """The newest reading of all windows; ``currency`` is that of the costs."""
    models = [((recent.window, *key), use) for recent in current for key, use in recent.models.items()]
    yield from _models(models, currency)
    tools = [((recent.window, *key), tool) for recent in current for key, tool in recent.tools.items()]
    failed = [((*key, "true"), tool.failed) for key, tool in tools]
    yield sampled(families.AI_TOOL_CALLS, [*failed, *(((*key, "false"), tool.calls - tool.failed) for key, tool in tools)])
    users = (((recent.window, *key), count) for recent in current for key, count in recent.users.items())
    yield sampled(families.AI_USERS, users)


def _models(models: Sequence[tuple[tuple[str, ...], ModelUse]], currency: str) -> Iterator[Sampled]:
    ended = [((*key, "true"), use.interceptions - use.unfinished) for key, use in models]
    yield sampled(families.AI_INTERCEPTIONS, [*ended, *(((*key, "false"), use.unfinished) for key, use in models)])
    tokens = (((*key, kind), count) for key, use in models for kind, count in sorted(use.tokens.items()))
    yield sampled(families.AI_TOKENS, tokens)
    costs = (((*key, currency), float(use.cost.amount)) for key, use in models if use.cost.amount is not None)
    yield sampled(families.AI_COST, costs)
    yield sampled(families.AI_UNPRICED, ((key, use.cost.unpriced_tokens) for key, use in models))
