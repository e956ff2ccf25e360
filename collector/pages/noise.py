"""/csp/noise: what was told from the faults of sites, by class and by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from collector.http.appkeys import NOISE, STORE
from collector.normalize.noise import RULES, Rule
from collector.pages.admission import READERS, shown_to
from collector.pages.page import PAGES
from collector.rollup.noise import ClassSize, Matches, class_sizes, matches
from collector.wire.identity import User
from collector.wire.records import NoiseClass

SHIPPED = frozenset(rule.name for rule in RULES)
SHOWN = 6  # patterns of a rule; some have dozens


@shown_to(READERS)
async def get_noise(request: web.Request, user: User) -> web.Response:
    """The noise classes with what is stored of each, and the rules in effect with what each ever matched."""
    sizes, found = await request.app[STORE].read(lambda store: (class_sizes(store), matches(store)))
    rules = request.app[NOISE].rules
    return request.app[PAGES].response(request, "noise", noise_context(user, sizes, found, rules))


def noise_context(viewer: User, sizes: Sequence[ClassSize], found: Matches, rules: Sequence[Rule]) -> dict[str, Any]:
    """Everything that ``noise.html`` says."""
    most = max((size.reports for size in sizes), default=1)
    of_class = {each: sum(rule.noise_class is each for rule in rules) for each in NoiseClass}
    classes = [
        {
            "name": size.noise_class,
            "violations": size.violations,
            "reports": size.reports,
            "share": f"{100 * size.reports / most:.1f}",
            "rules": of_class.get(NoiseClass(size.noise_class), 0) if size.noise_class in tuple(NoiseClass) else 0,
        }
        for size in sizes
    ]
    ranked = sorted(rules, key=lambda rule: -found.by_rule.get(rule.name, 0))
    return {
        "viewer": viewer,
        "classes": classes,
        "rules": [_rule(rule, found.by_rule.get(rule.name, 0)) for rule in ranked],
        "rejudging": found.rejudging,
    }


def _rule(rule: Rule, matched: int) -> dict[str, Any]:
    schemes = (f"{scheme}:" for scheme in sorted(rule.schemes))
    patterns = [*schemes, *sorted(rule.hosts), *rule.endings, *rule.prefixes, *rule.paths, *rule.parts]
    if rule.samples:
        patterns.append(f"sample {rule.samples}")
    return {
        "name": rule.name,
        "noise_class": rule.noise_class.value,
        "matched": matched,
        "enabled": rule.enabled,
        "own": rule.name not in SHIPPED,
        "patterns": patterns[:SHOWN],
        "more": max(len(patterns) - SHOWN, 0),
        "directive": rule.directive,
    }
