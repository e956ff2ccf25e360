"""A batch of CSP reports, folded: what it brings for each violation.

In a flood the same few reports come again and again, and the intake has one object for all that are equal but for their age. So
a batch is gone through once, noting when each object came, and the rest is done once for each object and not for each report.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import add

import msgspec

from collector.wire.records import CspIntake, CspReport

MINUTE_MS = 60_000
DISPOSITIONS = ("enforce", "report", "unknown")
ENFORCE, REPORT, UNKNOWN = range(len(DISPOSITIONS))

Same = tuple[int, str]  # the id of a report, which its intake keeps alive, and its fingerprint


class Fold(msgspec.Struct, gc=False):
    """What one batch brings for one violation."""

    intake: CspIntake
    newest: CspReport
    first_seen: int
    last_seen: int
    count: int  # of reports
    minutes: dict[int, list[int]]  # since the epoch -> reports of each of the ``DISPOSITIONS``
    reports: list[tuple[CspReport, int]]  # each with how often it came
    clients: set[int]  # marks of who sent them

    def add(self, other: Fold) -> None:
        """Take the reports of another fold of the same project."""
        if other.last_seen >= self.last_seen:
            self.last_seen, self.newest = other.last_seen, other.newest
        self.first_seen = min(self.first_seen, other.first_seen)
        self.count += other.count
        for minute, counts in other.minutes.items():
            known = self.minutes.get(minute)
            self.minutes[minute] = counts if known is None else list(map(add, known, counts))
        self.reports += other.reports
        self.clients |= other.clients


def folded(intakes: Sequence[CspIntake]) -> dict[str, Fold]:
    """One fold for each fingerprint among ``intakes``."""
    folds: dict[str, Fold] = {}
    arrays: list[CspIntake] = []
    for intake in intakes:
        if len(intake.reports) == 1:
            _add_one(folds, intake)
        else:
            arrays.append(intake)
    if arrays:
        _add_arrays(folds, arrays)
    return folds


def _add_one(folds: dict[str, Fold], intake: CspIntake) -> None:
    """Add the only report of an intake: to group what may well come once costs more than it saves."""
    report, fingerprint = intake.reports[0], intake.fingerprints[0]
    seen = intake.received_at - sum(intake.ages)
    minute, which = seen // MINUTE_MS, _which(report)
    fold = folds.get(fingerprint)
    if fold is None:
        clients = set() if intake.client is None else {intake.client}
        folds[fingerprint] = Fold(intake, report, seen, seen, 1, {minute: _alone(which, 1)}, [(report, 1)], clients)
        return
    if seen >= fold.last_seen:
        fold.last_seen, fold.newest = seen, report
    elif seen < fold.first_seen:
        fold.first_seen = seen
    fold.count += 1
    counts = fold.minutes.get(minute)
    if counts is None:
        fold.minutes[minute] = _alone(which, 1)
    else:
        counts[which] += 1
    fold.reports.append((report, 1))
    if intake.client is not None:
        fold.clients.add(intake.client)


def _add_arrays(folds: dict[str, Fold], intakes: Sequence[CspIntake]) -> None:
    times: dict[Same, list[int]] = {}
    first: list[tuple[CspIntake, CspReport]] = []  # of each of them
    sent: defaultdict[int, set[str]] = defaultdict(set)  # fingerprints by client
    for intake in intakes:
        received_at = intake.received_at
        same = zip(map(id, intake.reports), intake.fingerprints, strict=True)
        for key, report, age in zip(same, intake.reports, intake.ages or repeat(0), strict=False):
            seen = times.get(key)
            if seen is None:
                times[key] = [received_at - age]
                first.append((intake, report))
            else:
                seen.append(received_at - age)
        if intake.client is not None:
            sent[intake.client].update(intake.fingerprints)
    for ((_, fingerprint), seen), (intake, report) in zip(times.items(), first, strict=True):
        fold = _fold(intake, report, seen)
        known = folds.get(fingerprint)
        if known is None:
            folds[fingerprint] = fold
        else:
            known.add(fold)
    for client, fingerprints in sent.items():
        for fingerprint in fingerprints:
            folds[fingerprint].clients.add(client)


def noise_rules(folds: dict[str, Fold]) -> Counter[tuple[int, str]]:
    """How many reports each rule judged, by project and rule."""
    matches: Counter[tuple[int, str]] = Counter()
    for fold in folds.values():
        for report, count in fold.reports:
            if report.noise_rule is not None:
                matches[fold.intake.project_id, report.noise_rule] += count
    return matches


def _fold(intake: CspIntake, report: CspReport, seen: list[int]) -> Fold:
    """Of one report that came at these times."""
    which, count = _which(report), len(seen)
    seen.sort()
    first, last = seen[0], seen[-1]
    minute = last // MINUTE_MS
    if first // MINUTE_MS == minute:
        minutes = {minute: _alone(which, count)}
    else:
        minutes = {minute: _alone(which, some) for minute, some in _by_minute(seen)}
    return Fold(intake, report, first, last, count, minutes, [(report, count)], set())


def _which(report: CspReport) -> int:
    """Where its disposition stands."""
    disposition = report.disposition
    return ENFORCE if disposition == "enforce" else REPORT if disposition == "report" else UNKNOWN


def _alone(which: int, count: int) -> list[int]:
    counts = [0, 0, 0]
    counts[which] = count
    return counts


def _by_minute(seen: Sequence[int]) -> Iterator[tuple[int, int]]:
    """How many of these sorted times each minute has."""
    start, last = 0, seen[-1] // MINUTE_MS
    while (minute := seen[start] // MINUTE_MS) < last:
        end = bisect_left(seen, (minute + 1) * MINUTE_MS, start)
        yield minute, end - start
        start = end
    yield last, len(seen) - start
