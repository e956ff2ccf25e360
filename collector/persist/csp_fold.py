"""A batch of CSP reports, folded: what it brings for each violation.

In a flood the same few reports come again and again, and the intake has one object for all that are equal but for their age. So
a batch is gone through once, noting when each object came, and the rest is done once for each object and not for each report.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import repeat

import msgspec

from collector.wire.records import CspIntake, CspReport

MINUTE_MS = 60_000

Same = tuple[int, str]  # the id of a report, which its intake keeps alive, and its fingerprint


class Fold(msgspec.Struct, gc=False):
    """What one batch brings for one violation."""

    intake: CspIntake
    newest: CspReport
    first_seen: int
    last_seen: int
    count: int  # of reports
    counts: dict[tuple[int, str], int]  # (minute, disposition) -> reports
    reports: list[tuple[CspReport, int]]  # each with how often it came
    clients: set[int]  # marks of who sent them

    def add(self, other: Fold) -> None:
        """Take the reports of another fold of the same project."""
        if other.last_seen >= self.last_seen:
            self.last_seen, self.newest = other.last_seen, other.newest
        self.first_seen = min(self.first_seen, other.first_seen)
        self.count += other.count
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        self.reports += other.reports
        self.clients |= other.clients


def folded(intakes: Sequence[CspIntake]) -> dict[str, Fold]:
    """One fold for each fingerprint among ``intakes``."""
    first: dict[Same, tuple[CspIntake, CspReport]] = {}
    times: defaultdict[Same, list[int]] = defaultdict(list)
    sent: defaultdict[int, set[Same]] = defaultdict(set)  # by client
    for intake in intakes:
        received_at = intake.received_at
        same = tuple(zip(map(id, intake.reports), intake.fingerprints, strict=True))
        for key, report, age in zip(same, intake.reports, intake.ages or repeat(0), strict=False):
            seen = times[key]
            if not seen:
                first[key] = intake, report
            seen.append(received_at - age)
        if intake.client is not None:
            sent[intake.client].update(same)
    folds: dict[str, Fold] = {}
    for key, seen in times.items():
        fold = _fold(*first[key], seen)
        known = folds.setdefault(key[1], fold)
        if known is not fold:
            known.add(fold)
    for client, keys in sent.items():
        for _, fingerprint in keys:
            folds[fingerprint].clients.add(client)
    return folds


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
    seen.sort()
    disposition = report.disposition or "unknown"
    counts = {(minute, disposition): count for minute, count in _by_minute(seen)}
    return Fold(intake, report, seen[0], seen[-1], len(seen), counts, [(report, len(seen))], set())


def _by_minute(seen: Sequence[int]) -> Iterator[tuple[int, int]]:
    """How many of these sorted times each minute has."""
    start, last = 0, seen[-1] // MINUTE_MS
    while (minute := seen[start] // MINUTE_MS) < last:
        end = bisect_left(seen, (minute + 1) * MINUTE_MS, start)
        yield minute, end - start
        start = end
    yield last, len(seen) - start
