"""What the exporter says beside running sums: violations as they are kept, and what AI models were used for lately."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from collector.rollup.aibridge_recent import Recent
from collector.rollup.violation_counts import ViolationCounts
from collector.serve import families


def violation_families(counts: ViolationCounts | None) -> Iterator[Metric]:
    """How many violations there are, how many are new, and the reports of those with most."""
    kept, new, top = families.VIOLATIONS.empty(), families.NEW_VIOLATIONS.empty(), families.TOP_VIOLATIONS.empty()
    for state in counts.states if counts else ():
        kept.add_metric([state.project, state.state, str(state.noise).lower()], state.amount)
    for made in counts.new if counts else ():
        new.add_metric([made.project, made.noise_class], made.amount)
    for violation in counts.top if counts else ():
        *labels, amount = violation
        top.add_metric(list(labels), amount)
    yield from (kept, new, top)


def aibridge_families(current: Sequence[Recent], currency: str) -> Iterator[Metric]:
    """The newest reading of all windows; ``currency`` is that of the costs."""
    yield from _models(current, currency)
    calls, users = families.AI_TOOL_CALLS.empty(), families.AI_USERS.empty()
    for window, key, tool in ((recent.window, *item) for recent in current for item in recent.tools.items()):
        calls.add_metric([window, *key, "true"], tool.failed)
        calls.add_metric([window, *key, "false"], tool.calls - tool.failed)
    for window, key, count in ((recent.window, *item) for recent in current for item in recent.users.items()):
        users.add_metric([window, *key], count)
    yield from (calls, users)


def _models(current: Sequence[Recent], currency: str) -> Iterator[Metric]:
    found, tokens = families.AI_INTERCEPTIONS.empty(), families.AI_TOKENS.empty()
    costs, unpriced = families.AI_COST.empty(), families.AI_UNPRICED.empty()
    for window, key, model in ((recent.window, *item) for recent in current for item in recent.models.items()):
        labels = [window, *key]
        found.add_metric([*labels, "true"], model.interceptions - model.unfinished)
        found.add_metric([*labels, "false"], model.unfinished)
        for kind, count in sorted(model.tokens.items()):
            tokens.add_metric([*labels, kind], count)
        if model.cost.amount is not None:
            costs.add_metric([*labels, currency], float(model.cost.amount))
        unpriced.add_metric(labels, model.cost.unpriced_tokens)
    yield from (found, tokens, costs, unpriced)
