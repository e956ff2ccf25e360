"""/csp/noise/rules: which rules tell noise from faults, and how often each did."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import NOISE, STORE
from collector.http.errors import json_response
from collector.http.operation import Operation
from collector.normalize.noise import RULES, Rule
from collector.rollup.noise import matches
from collector.wire.noise import NoiseRule, NoiseRules

SHIPPED = frozenset(rule.name for rule in RULES)


@Operation(answer=NoiseRules)
async def get_noise_rules(request: web.Request) -> web.Response:
    """The noise rules in effect, in the order of their rank, with how many reports each ever matched."""
    found = await request.app[STORE].read(matches)
    results = [_shown(rule, found.by_rule.get(rule.name, 0)) for rule in request.app[NOISE].rules]
    return json_response(NoiseRules(count=len(results), results=results, rejudging=found.rejudging))


def _shown(rule: Rule, matched: int) -> NoiseRule:
    return NoiseRule(
        name=rule.name,
        noise_class=rule.noise_class,
        enabled=rule.enabled,
        shipped=rule.name in SHIPPED,
        schemes=sorted(rule.schemes),
        hosts=sorted(rule.hosts),
        endings=list(rule.endings),
        prefixes=list(rule.prefixes),
        paths=list(rule.paths),
        parts=list(rule.parts),
        samples=rule.samples,
        directive=rule.directive,
        where=sorted(rule.where),
        matches=matched,
    )
