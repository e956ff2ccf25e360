"""What the ignore rules hold: the violations that a rule has ignored and nobody has touched since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from collector.persist.csp_states import BY_RULE, IgnoreRule
from collector.persist.tables import violations
from collector.wire.violations import State


class Held(NamedTuple):
    """Violations that a rule fits, their reports, and when the newest came (ms); None: nothing has."""

    violations: int = 0
    reports: int = 0
    last_seen: int | None = None

    def __or__(self, other: Held) -> Held:
        seen = [at for at in (self.last_seen, other.last_seen) if at is not None]
        return Held(self.violations + other.violations, self.reports + other.reports, max(seen, default=None))


def held(connection: Connection, rules: Sequence[IgnoreRule]) -> dict[int, Held]:
    """What each of ``rules`` holds, by its id. What several of them fit counts for each: no violation says which it was.

    One pass over the violations, which are grouped by what rules look at, and a few look-ups for each group.
    """
    column = violations.c
    looked_at = (column.project_id, column.effective_directive, column.blocked_key)
    sums = (func.count(), func.sum(column.count), func.max(column.last_seen))
    ignored = (column.state == State.IGNORED.value, column.state_by == BY_RULE)
    by_fit: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for rule in rules:
        by_fit[rule.project_id, rule.effective_directive, rule.blocked_key].append(rule.id)
    found = {rule.id: Held() for rule in rules}
    for project, directive, key, count, reports, last in connection.execute(
        select(*looked_at, *sums).where(*ignored).group_by(*looked_at)
    ):
        for fit in _fits(project, directive, key):
            for rule_id in by_fit.get(fit, ()):
                found[rule_id] |= Held(count, int(reports), last)
    return found


def _fits(project: int, directive: str | None, key: str | None) -> Iterator[tuple[object, ...]]:
    """What a rule may say and fit such a violation: each of the three or None, which stands for any."""
    return iter({*product((project, None), (directive, None), (key, None))})
