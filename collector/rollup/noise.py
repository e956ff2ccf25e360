"""Noise rules over what is stored: how often each matched, and the violations that follow a change of rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, func, select

from collector.persist.engine import Store
from collector.persist.rejudging import Judge, Rules, begin, rejudge_slice, rejudging, stored_violations
from collector.persist.tables import noise_rule_totals, violations
from collector.rollup.retention import Write
from collector.wire.noise import StoredViolation
from collector.wire.records import NoiseClass

VIOLATIONS_PER_SLICE = 200  # of one transaction: some 20 ms when none of them moves, and most do not

log = structlog.get_logger(__name__)


class Move(NamedTuple):
    """From which class to which, and by which rule."""

    before: NoiseClass | None
    after: NoiseClass | None
    rule: str | None

    @property
    def name(self) -> str:
        """As people read it: ``no noise -> browser-extension by extension-scheme``."""
        by = f" by {self.rule}" if self.rule else ""
        return f"{self.before or 'no noise'} -> {self.after or 'no noise'}{by}"


class Moves(NamedTuple):
    """What a change of rules would move, in violations and in reports, and what it would leave undecided."""

    violations: Counter[Move]
    reports: Counter[Move]
    undecided: int


class Matches(NamedTuple):
    """Reports that each rule ever matched, by name, and whether stored violations still follow a change of rules."""

    by_rule: dict[str, int]  # rules among them that are no longer in effect
    rejudging: bool


class ClassSize(NamedTuple):
    """What is stored of one noise class."""

    noise_class: str
    violations: int
    reports: int


def class_sizes(connection: Connection) -> list[ClassSize]:
    """What is stored of each noise class that has anything, the most reports first."""
    columns = violations.c
    reports = func.sum(columns.count)
    sizes = select(columns.noise_class, func.count(), reports).where(columns.noise_class.is_not(None))
    rows = connection.execute(sizes.group_by(columns.noise_class).order_by(reports.desc(), columns.noise_class))
    return [ClassSize(noise_class, int(count), int(total)) for noise_class, count, total in rows]


def matches(connection: Connection) -> Matches:
    """The matches of all projects."""
    sums = select(noise_rule_totals.c.rule, func.sum(noise_rule_totals.c.count)).group_by(noise_rule_totals.c.rule)
    by_rule = {rule: int(count) for rule, count in connection.execute(sums)}
    return Matches(by_rule, rejudging(connection) is not None)


async def begin_rejudging(store: Store, rules: Rules) -> None:
    """Note that the violations stored so far are to be judged by ``rules``. Call it before the first report is taken."""
    await store.transact(partial(begin, rules=rules))


async def rejudge(store: Store, write: Write, rules: Rules, judging: Callable[[Mapping[str, str]], Judge]) -> None:
    """Judge the stored violations again if they wait for these ``rules``; in slices, each a transaction of its own.

    ``judging`` makes the judge out of what the violations were judged by. Exported counters stay what they were: they say
    how reports were judged when they came in. Call it now and then: there is something to do after a start only, and after a
    failure, when every slice that was committed stays done.
    """
    under_way = await store.read(rejudging)
    if under_way is None or under_way.rules != rules:
        return  # another process, with other rules, takes care of its own
    judge = judging(under_way.judged_by)
    while await write(partial(_slice, rules=rules, judge=judge)):
        pass
    if under_way.upto:
        log.info("stored violations follow the noise rules")


def _slice(connection: Connection, *, rules: Rules, judge: Judge) -> bool:
    return rejudge_slice(connection, rules, judge, limit=VIOLATIONS_PER_SLICE)


def moves(connection: Connection, judge: Judge) -> Moves:
    """What ``judge`` would move of all stored violations."""
    by_violation, by_report, undecided = Counter[Move](), Counter[Move](), 0
    for stored in _walked(connection):
        found = judge(stored)
        if found is None:
            undecided += 1
        elif (found.noise_class, found.noise_rule) != (stored.noise_class, stored.noise_rule):
            move = Move(stored.noise_class, found.noise_class, found.noise_rule)
            by_violation[move] += 1
            by_report[move] += stored.count
    return Moves(by_violation, by_report, undecided)


def _walked(connection: Connection) -> Iterator[StoredViolation]:
    after = 0
    while page := stored_violations(connection, after=after, upto=None, limit=VIOLATIONS_PER_SLICE):
        yield from page
        after = page[-1].id
