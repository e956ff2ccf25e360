"""What violations are listed by: copies of their counts that change every few seconds instead of with every report.

An index on a column that every report changes would cost a fifth of what a report costs. These columns are indexed and
follow their originals at each :meth:`CspRanks.flush`.

``trend`` says how a violation's rate compares with what is usual for it. Two sums of its reports fade with half-lives of six
hours and of a week, and the trend is what they are to each other. Each sum is kept as the logarithm of its value at the
epoch (forward decay, Cormode et al., 2009), so that it changes with reports alone and never by the passing of time; and
what time takes off the difference of the two is the same for all violations, so their order never changes either.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, bindparam, select, update

from collector.persist.statements import Statement
from collector.persist.tables import violations

DAY_MS = 86_400_000
SHORT_MS, LONG_MS = 6 * 3_600_000, 7 * DAY_MS  # half-lives
FADES = 1 / SHORT_MS - 1 / LONG_MS  # binary digits of the trend a millisecond
STEADY = math.log2(SHORT_MS / LONG_MS)  # the difference of the sums at a rate that never changes
ROWS_PER_FLUSH = 500  # of one transaction: about 10 ms


class Write(Protocol):
    """How a flush gets to the database: ``Writer.write`` or ``Store.transact``."""

    def __call__(self, work: Callable[[Connection], Any], /) -> Awaitable[Any]:
        """Run ``work`` in a write transaction of its own."""


class Rank(NamedTuple):
    """What a violation with some reports is listed by; the columns have these names."""

    ranked_count: int
    ranked_seen: int
    volume: float
    usual: float
    trend: float
    days: int
    seen_day: int


def first_rank(count: int, last_seen: int) -> Rank:
    """The rank of a violation that is new."""
    volume, usual = _faded(count, last_seen, SHORT_MS), _faded(count, last_seen, LONG_MS)
    return Rank(count, last_seen, volume, usual, volume - usual, 1, last_seen // DAY_MS)


def next_rank(rank: Rank, count: int, last_seen: int) -> Rank:
    """The rank of a violation that now has ``count`` reports."""
    added = count - rank.ranked_count
    volume = _together(rank.volume, _faded(added, last_seen, SHORT_MS))
    usual = _together(rank.usual, _faded(added, last_seen, LONG_MS))
    day = last_seen // DAY_MS
    return Rank(count, last_seen, volume, usual, volume - usual, rank.days + (day > rank.seen_day), max(day, rank.seen_day))


def together(one: Rank, other: Rank) -> Rank:
    """The rank of two violations made one. Days on which both were seen are not known: it has those of the longer one."""
    volume, usual = _together(one.volume, other.volume), _together(one.usual, other.usual)
    days, seen_day = max(one.days, other.days), max(one.seen_day, other.seen_day)
    count, seen = one.ranked_count + other.ranked_count, max(one.ranked_seen, other.ranked_seen)
    return Rank(count, seen, volume, usual, volume - usual, days, seen_day)


def ratio(trend: float, now: int) -> float:
    """The trend at ``now`` (ms) as a number: 1 is the usual rate, 28 the most (all is new), towards 0 when it falls silent."""
    return math.exp2(min(trend - now * FADES - STEADY, 64))


class CspRanks:
    """Which violations of this process have reports that their ranks do not know of."""

    def __init__(self) -> None:
        self._behind: set[str] = set()
        self._unsettled: set[str] = set()

    def note(self, fingerprints: Iterable[str]) -> None:
        """These got reports in the transaction under way."""
        self._unsettled.update(fingerprints)

    def ended(self) -> None:
        """The transaction has ended. Also one that failed is noted: to look in vain costs little."""
        self._behind |= self._unsettled
        self._unsettled = set()

    async def flush(self, write: Write) -> None:
        """Bring the ranks up to date, through ``write``. What a failure leaves waits for the next call."""
        behind, self._behind = self._behind, set()
        names = sorted(behind)
        try:
            while names:
                await write(partial(_rank, fingerprints=names[:ROWS_PER_FLUSH]))
                names = names[ROWS_PER_FLUSH:]
        except BaseException:
            self._behind.update(names)
            raise


def _rank(connection: Connection, fingerprints: Sequence[str]) -> None:
    columns = [violations.c[name] for name in Rank._fields]
    behind = (
        select(violations.c.id, violations.c.count, violations.c.last_seen, *columns)
        .where(violations.c.fingerprint.in_(fingerprints), violations.c.count != violations.c.ranked_count)
        .order_by(violations.c.fingerprint)  # in the order in which intake locks them
        .with_for_update()
    )
    rows = [
        {"of_id": id_, **{f"of_{name}": value for name, value in next_rank(Rank(*rank), count, seen)._asdict().items()}}
        for id_, count, seen, *rank in connection.execute(behind)
    ]
    if rows:
        RANK.execute_many(connection, rows)


def _faded(count: int, at: int, half_life: int) -> float:
    return math.log2(count) + at / half_life if count > 0 else -math.inf


def _together(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers that are given by their logarithms."""
    high, low = max(one, other), min(one, other)
    return high if math.isinf(low) else high + math.log2(1 + 2.0 ** max(low - high, -60))


def _ranking(_dialect: str) -> Any:
    return (
        update(violations)
        .where(violations.c.id == bindparam("of_id", type_=violations.c.id.type))
        .values({name: bindparam(f"of_{name}", type_=violations.c[name].type) for name in Rank._fields})
    )


RANK = Statement(_ranking)
