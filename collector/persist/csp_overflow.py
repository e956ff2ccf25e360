"""A bound on how many violations a project may make in an hour: what exceeds it is one row a directive and noise class.

Whoever can post reports can invent a new violation with each. The rows that this makes are bounded, and no report is lost
over it: those without a row of their own are counted in a violation whose ``blocked_kind`` is "overflow". The bound is
counted from what is stored, by our own clock: neither a restart nor the age that a report claims to have resets it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection

import msgspec
from prometheus_client import Counter
from sqlalchemy import Connection, func, select

from collector.persist.csp_fold import Fold
from collector.persist.tables import projects, violations
from collector.wire.records import CspReport

OVERFLOW = "overflow"
HOUR_MS = 3_600_000
HEX_DIGITS = 32

OVERFLOWED = Counter(
    "collector_overflow_reports", "Reports of new violations beyond COLLECTOR_CSP_NEW_VIOLATIONS, which share one."
)


class NewViolations:
    """How many violations each project may still make in this hour.

    Args:
        limit: violations a project and clock hour (UTC); 0: no limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hour = 0
        self._full: set[int] = set()  # projects that have made as many as they may in this hour
        self._overflowed = 0

    def admit(self, connection: Connection, folds: dict[str, Fold], new: Collection[str]) -> dict[str, Fold]:
        """``folds`` with those of ``new`` that exceed the limit put together under the names of their overflow.

        ``new`` are the fingerprints that no violation has yet; of one project those that come first in order are admitted.
        """
        if not self._limit or not new:
            return folds
        by_project: defaultdict[int, list[str]] = defaultdict(list)
        for fingerprint in sorted(new):
            by_project[folds[fingerprint].intake.project_id].append(fingerprint)
        kept = dict(folds)
        for project_id, fingerprints in by_project.items():
            room = self._room(connection, project_id, folds[fingerprints[0]].intake.received_at)
            over = fingerprints[room:]
            if over:
                self._put_together(connection, project_id, kept, over)
        return kept

    def ended(self, *, whole: bool) -> None:
        """The transaction has ended."""
        if whole:
            OVERFLOWED.inc(self._overflowed)
        else:
            self._full.clear()
        self._overflowed = 0

    def _room(self, connection: Connection, project_id: int, at: int) -> int:
        if at // HOUR_MS != self._hour:
            self._hour = at // HOUR_MS
            self._full.clear()
        if project_id in self._full:
            return 0
        # The newest as many as may be made, along the index: the count ends there, however many there are in all.
        newest = (
            select(violations.c.stored_at)
            .where(violations.c.project_id == project_id)
            .order_by(violations.c.id.desc())
            .limit(self._limit)
            .subquery()
        )
        made = select(func.count()).select_from(newest).where(newest.c.stored_at >= self._hour * HOUR_MS)
        room = self._limit - (connection.scalar(made) or 0)
        if room <= 0:
            self._full.add(project_id)
        return max(room, 0)

    def _put_together(self, connection: Connection, project_id: int, kept: dict[str, Fold], over: Collection[str]) -> None:
        project = connection.scalar(select(projects.c.name).where(projects.c.id == project_id)) or ""
        for fingerprint in over:
            fold = kept.pop(fingerprint)
            self._overflowed += fold.count
            fold.newest = _overflow(fold)
            name = overflow_fingerprint(project, fold)
            if name in kept:
                kept[name].add(fold)
            else:
                kept[name] = fold


def overflow_fingerprint(project: str, fold: Fold) -> str:
    """The name of the violation that counts a project's overflow of this directive and noise class."""
    parts = OVERFLOW, project, fold.newest.effective_directive or "", fold.newest.noise_class or ""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:HEX_DIGITS]


def _overflow(fold: Fold) -> CspReport:
    return msgspec.structs.replace(
        fold.newest, blocked_kind=OVERFLOW, blocked_origin=None, blocked_key=OVERFLOW, noise_rule=None, place=""
    )
