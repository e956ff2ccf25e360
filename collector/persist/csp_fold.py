"""A batch of CSP reports, folded: what it brings for each violation."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collector.wire.records import CspIntake, CspReport

MINUTE_MS = 60_000


class Fold(msgspec.Struct, gc=False):
    """What one batch brings for one violation."""

    intake: CspIntake
    newest: CspReport
    first_seen: int
    last_seen: int
    counts: dict[tuple[int, str], int]  # (minute, disposition) -> reports
    reports: list[CspReport]  # all of them; those of equal bodies are mostly one object
    clients: set[int]  # marks of who sent them

    @property
    def count(self) -> int:
        """How many reports there are."""
        return len(self.reports)

    def add(self, other: Fold) -> None:
        """Take the reports of another fold of the same project."""
        if other.last_seen >= self.last_seen:
            self.last_seen, self.newest = other.last_seen, other.newest
        self.first_seen = min(self.first_seen, other.first_seen)
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        self.reports += other.reports
        self.clients |= other.clients


def folded(intakes: Sequence[CspIntake]) -> dict[str, Fold]:
    """One fold for each fingerprint among ``intakes``."""
    folds: dict[str, Fold] = {}
    for intake in intakes:
        client = intake.client
        for fingerprint, report in zip(intake.fingerprints, intake.reports, strict=True):
            seen = intake.received_at - report.age_ms
            key = seen // MINUTE_MS, report.disposition or "unknown"
            fold = folds.get(fingerprint)
            if fold is None:
                clients = set() if client is None else {client}
                folds[fingerprint] = Fold(intake, report, seen, seen, {key: 1}, [report], clients)
                continue
            if seen >= fold.last_seen:
                fold.last_seen, fold.newest = seen, report
            elif seen < fold.first_seen:
                fold.first_seen = seen
            fold.counts[key] = fold.counts.get(key, 0) + 1
            fold.reports.append(report)
            if client is not None:
                fold.clients.add(client)
    return folds
