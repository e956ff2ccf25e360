"""What a violation was seen with: documents, browsers, blocked paths, policies, and how many clients sent it.

A value that is new is stored with the batch that brings it. Of a known one only a counter changes, which is kept in memory
and written every few seconds (:meth:`CspFacets.flush`): a flood of known values costs no more than their number. So a
facet may be behind by what came since, and a process that dies takes that much with it; the counts of the violation
itself are exact. Each kind keeps the values that came first, until one has not been seen for an hour and another comes:
then it is counted among the others, which are one row with the value "".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from collector.persist.csp_clients import Seen, add_clients
from collector.persist.csp_fold import Fold
from collector.persist.csp_policies import CspPolicies, add_counts
from collector.persist.csp_ranks import Write
from collector.persist.facet_statements import FACET, forget_values, known_values
from collector.persist.sketch import REGISTERS, add
from collector.wire.records import CspReport

DOCUMENT, BROWSER, PATH, POLICY = "document", "browser", "path", "policy"
OTHER = ""  # the value of the row that counts all that have none of their own
VALUES_PER_KIND = 20
VALUE_LONGEST = 300
PATH_SEGMENTS = 3
DAY_MS = 86_400_000
STALE_MS = 3_600_000  # a value that was not seen for so long makes room for another
KNOWN_LIMIT = 5_000  # violations whose values are remembered: some 30 MB; a forgotten one costs a SELECT
PENDING_LIMIT = 50_000  # counters that wait for a flush; what comes beyond is written at once
ROWS_PER_FLUSH = 1_000  # of one transaction: about 10 ms
FEW_CLIENTS = 16  # until a day has so many, each is stored with its batch

Key = tuple[str, str, str]  # fingerprint, kind, value


class Tally(NamedTuple):
    """Reports with one value of a project's violation, and when the first and the last of them were received."""

    project_id: int
    reports: int
    since: int
    at: int


class Known(msgspec.Struct):
    """What is stored of one violation already, as far as this process knows."""

    values: dict[str, dict[str, int]]  # kind -> value -> when it was last received
    day: int = 0
    sketch: bytearray = msgspec.field(default_factory=lambda: bytearray(REGISTERS))


class CspFacets:
    """The facets of one process. ``store`` and ``ended`` belong to the writer, ``flush`` to the schedule."""

    def __init__(self) -> None:
        self._policies = CspPolicies()
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._pending: dict[Key, Tally] = {}  # committed with their reports, and not written yet
        self._unsettled: dict[Key, Tally] = {}  # the same, of the transaction under way
        self._changed: set[str] = set()  # violations whose sketch is not written yet
        self._unsettled_changed: set[str] = set()

    def store(self, connection: Connection, folds: Mapping[str, Fold]) -> None:
        """Note what ``folds``, whose violations are stored, were seen with; within the caller's transaction."""
        self._learn(connection, folds)
        new: dict[Key, Tally] = {}
        stale: list[Key] = []
        sketches = []
        for fingerprint, fold in folds.items():
            at = fold.intake.received_at
            for (kind, value), (report, count) in _values(fold).items():
                key, is_new = self._place(connection, (fingerprint, kind, value), fold, report, stale)
                sums = new if is_new or len(self._unsettled) + len(self._pending) > PENDING_LIMIT else self._unsettled
                _sum(sums, key, Tally(fold.intake.project_id, count, at, at))
            known = self._known[fingerprint]
            if self._has_new_clients(fingerprint, known, fold.clients, at):
                sketches.append(Seen(fingerprint, known.day, bytes(known.sketch)))
        forget_values(connection, stale)
        _add_values(connection, new)
        add_clients(connection, sketches)

    def ended(self, *, whole: bool) -> None:
        """The transaction has ended; ``whole`` when all that was stored in it is committed."""
        if whole:
            for key, tally in self._unsettled.items():
                _sum(self._pending, key, tally)
            self._changed |= self._unsettled_changed
        else:
            # What is known may be what was rolled back. Reading it again is simpler than knowing better.
            self._known.clear()
            self._policies.forget()
        self._unsettled, self._unsettled_changed = {}, set()

    async def flush(self, write: Write) -> None:
        """Write the counters that have changed, through ``write``. What a failure leaves unwritten waits for the next call."""
        tallies, self._pending = self._pending, {}
        changed, self._changed = self._changed, set()
        sketches = [Seen(name, known.day, bytes(known.sketch)) for name in changed if (known := self._known.get(name))]
        try:
            for keys in _slices(sorted(tallies)):
                await write(partial(_add_values, tallies={key: tallies[key] for key in keys}))
                for key in keys:
                    del tallies[key]
            for some in _slices(sketches):
                await write(partial(add_clients, seen=some))
        except BaseException:
            for key, tally in tallies.items():
                _sum(self._pending, key, tally)
            self._changed |= changed
            raise

    def _learn(self, connection: Connection, fingerprints: Mapping[str, Fold]) -> None:
        unknown = []
        for fingerprint in fingerprints:
            if fingerprint in self._known:
                self._known.move_to_end(fingerprint)
            else:
                unknown.append(fingerprint)
                self._known[fingerprint] = Known({})
        for fingerprint, kind, value, at in known_values(connection, unknown):
            self._known[fingerprint].values.setdefault(kind, {})[value] = at
        while len(self._known) > max(KNOWN_LIMIT, len(fingerprints)):
            self._known.popitem(last=False)

    def _place(self, connection: Connection, key: Key, fold: Fold, report: CspReport, stale: list[Key]) -> tuple[Key, bool]:
        """Where to count the value of ``key``, and whether that is a new row."""
        fingerprint, kind, value = key
        at, values = fold.intake.received_at, self._known[fingerprint].values.setdefault(kind, {})
        if value not in values:
            full = len(values) - (OTHER in values) >= VALUES_PER_KIND
            oldest = min(values, key=values.__getitem__) if full else OTHER
            if (full and (oldest == OTHER or at - values[oldest] < STALE_MS)) or (
                kind == POLICY
                and not self._policies.admit(connection, fold.intake.project_id, value, report.sample.policy or "", at=at)
            ):
                value = OTHER
            elif full:
                del values[oldest]
                stale.append((fingerprint, kind, oldest))
        is_new = value not in values
        values[value] = at
        return (fingerprint, kind, value), is_new

    def _has_new_clients(self, fingerprint: str, known: Known, clients: set[int], at: int) -> bool:
        """Add ``clients`` to today's sketch; whether it is to be stored with this batch."""
        day = at // DAY_MS
        if day != known.day:
            known.day, known.sketch = day, bytearray(REGISTERS)
        if not add(known.sketch, clients):
            return False
        if REGISTERS - known.sketch.count(0) <= FEW_CLIENTS:
            return True
        self._unsettled_changed.add(fingerprint)
        return False


def _values(fold: Fold) -> dict[tuple[str, str], tuple[CspReport, int]]:
    """The values (kind, value) in ``fold``, each with a report that has it and how many have."""
    reports: dict[int, list[Any]] = {}
    for report in fold.reports:  # a page with a fault makes all its visitors post what becomes one and the same object
        reports.setdefault(id(report), [report, 0])[1] += 1
    values: dict[tuple[str, str], tuple[CspReport, int]] = {}
    for report, count in reports.values():
        for kind, value in _of_report(report):
            if value:
                before = values.get((kind, value))
                values[kind, value] = report, count + (before[1] if before else 0)
    return values


def _of_report(report: CspReport) -> tuple[tuple[str, str | None], ...]:
    sample = report.sample
    return (
        (DOCUMENT, sample.document_uri and sample.document_uri[:VALUE_LONGEST]),
        (BROWSER, sample.user_agent),
        (PATH, path_prefix(sample.blocked_uri) if report.blocked_kind == "origin" and sample.blocked_uri else None),
        (POLICY, report.policy_hash),
    )


@lru_cache(4096)
def path_prefix(uri: str) -> str:
    """The path of a URL without query, or as much of it as three segments hold: then it ends with a slash."""
    path = "/" + uri.partition("://")[2].partition("/")[2]
    segments = path.split("/")
    if len(segments) > PATH_SEGMENTS + 1:
        path = "/".join(segments[: PATH_SEGMENTS + 1]) + "/"
    return path if len(path) <= VALUE_LONGEST else path[:VALUE_LONGEST].rpartition("/")[0] + "/"


def _sum(sums: dict[Key, Tally], key: Key, tally: Tally) -> None:
    before = sums.get(key)
    if before is not None:
        tally = Tally(
            tally.project_id, before.reports + tally.reports, min(before.since, tally.since), max(before.at, tally.at)
        )
    sums[key] = tally


def _slices(rows: list[Any]) -> list[list[Any]]:
    return [rows[start : start + ROWS_PER_FLUSH] for start in range(0, len(rows), ROWS_PER_FLUSH)]


def _add_values(connection: Connection, tallies: Mapping[Key, Tally]) -> None:
    if not tallies:
        return
    rows = [
        {"fp": fingerprint, "of_kind": kind, "of_value": value, "n": tally.reports, "since": tally.since, "at": tally.at}
        for (fingerprint, kind, value), tally in sorted(tallies.items())
    ]
    FACET.execute_many(connection, rows)
    add_counts(
        connection,
        [(tally.project_id, value, tally.reports, tally.at) for (_, kind, value), tally in tallies.items() if kind == POLICY],
    )
