"""CSP reports -> rows. Reports are folded before they are written: cost grows with distinct violations, not with traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, select

from collector.persist import noise, other_reports
from collector.persist.csp_facets import CspFacets
from collector.persist.csp_fold import DISPOSITIONS, MINUTE_MS, Fold, folded, noise_rules
from collector.persist.csp_overflow import NewViolations
from collector.persist.csp_ranks import CspRanks, Write, first_rank
from collector.persist.csp_statements import COUNT_KNOWN, COUNTED, DROP, MINUTE, MINUTES, SAMPLE, TOTALS, VIOLATION
from collector.persist.csp_states import ignore_new
from collector.persist.project_activity import ProjectActivity
from collector.persist.tables import violations
from collector.wire.records import CspIntake, DropReason

Sums = list[int]  # reports of each of the ``DISPOSITIONS``

SAMPLES_PER_VIOLATION = 10
SEEN_LIMIT = 50_000  # fingerprints remembered: 6 MB; beyond it they are forgotten, which costs an upsert or a sample each


class CspRows:
    """The writer's hand for CSP.

    At most ``new_violations`` are made for a project in an hour (0: any number); the reports of others are counted in its
    overflow. While ``refuse_new`` is set, only violations that are known already are counted; reports of others are counted as
    dropped, and so every report still is in exactly one sum.
    """

    def __init__(self, *, new_violations: int = 0) -> None:
        self.refuse_new = False
        self.facets = CspFacets()
        self.ranks = CspRanks()
        self.activity = ProjectActivity()
        self._new = NewViolations(new_violations)
        self._ids: dict[str, int] = {}  # by fingerprint, of violations that were stored once; one may have been purged since
        self._sampled: set[str] = set()  # fingerprints with a committed sample of this minute
        self._unsettled: set[str] = set()  # the same, of the transaction under way
        self._minute = 0

    def store(self, connection: Connection, intakes: Sequence[CspIntake]) -> None:
        """Add ``intakes`` to violations, minute buckets, samples and running sums, within the caller's transaction."""
        folds = folded(intakes)
        matches = noise_rules(folds)
        drops: Counter[tuple[int, DropReason]] = Counter()
        for intake in intakes:
            for reason, count in intake.drops:
                drops[intake.project_id, reason] += count
        if self.refuse_new:
            _drop_new(connection, folds, drops)
        unknown = folds.keys() - self._ids.keys()
        if unknown:
            folds = self._new.admit(connection, folds, unknown - _stored(connection, unknown).keys())
        if folds:
            # Sorted by key: two writers that lock the same rows in different orders deadlock on PostgreSQL.
            ordered = dict(sorted(folds.items()))
            sums = {fingerprint: _sums(fold) for fingerprint, fold in ordered.items()}
            self._count(connection, ordered, sums)
            self._add_minutes(connection, ordered)
            _add_totals(connection, ordered, sums)
            self._sample(connection, ordered)
            self.facets.store(connection, ordered)
            self.ranks.note(ordered)
        _add_drops(connection, drops)
        other_reports.store(connection, intakes, refuse_new=self.refuse_new)
        noise.store(connection, matches)
        self.activity.note(intakes)

    def _count(self, connection: Connection, folds: dict[str, Fold], sums: dict[str, Sums]) -> None:
        """Add the counts to the violations, making those that are new.

        A known violation takes an UPDATE, which costs half of what the upsert does. It says how many rows it found, and
        where that is too few the missing ones are looked for and made.
        """
        new = folds.keys() - self._ids.keys()
        if connection.dialect.name != "sqlite":  # asyncpg does not say how many rows many executions found
            made = list(folds)
        else:
            ids = self._ids
            known = [
                (ids[fingerprint], fingerprint, *_counts(fold, sums[fingerprint]), 1 if fold.newest.policy_allows else 0)
                for fingerprint, fold in folds.items()
                if fingerprint in ids
            ]
            if known and COUNT_KNOWN.execute_many(connection, known) != len(known):
                stored = _stored(connection, folds)
                new = {fingerprint for fingerprint in folds if stored.get(fingerprint, 0) != ids.get(fingerprint)}
            made = sorted(new)
        if made:
            VIOLATION.execute_many(connection, [_violation_row(each, folds[each], sums[each]) for each in made])
        if len(self._ids) > SEEN_LIMIT:
            self._ids = {each: self._ids[each] for each in folds if each in self._ids}
        if new:
            self._ids.update(_stored(connection, new))
            ignore_new(connection, sorted(new), now=max(fold.intake.received_at for fold in folds.values()))

    def _add_minutes(self, connection: Connection, folds: dict[str, Fold]) -> None:
        if connection.dialect.name == "sqlite":
            ids = self._ids
            MINUTES.execute_many(
                connection, [(ids[name], *minute) for name, fold in folds.items() for minute in _minutes(fold)]
            )
        else:
            keys = ("fp", "at", "n_enforce", "n_report", "n_unknown")
            rows = [(name, *minute) for name, fold in folds.items() for minute in _minutes(fold)]
            MINUTE.execute_many(connection, [dict(zip(keys, row, strict=True)) for row in rows])

    def _sample(self, connection: Connection, folds: dict[str, Fold]) -> None:
        """Keep one report of each violation a minute; ten slots are overwritten in turn."""
        minute = max(fold.last_seen for fold in folds.values()) // MINUTE_MS
        if minute != self._minute or len(self._sampled) > SEEN_LIMIT:
            self._minute = minute
            self._sampled = set()
        slot = minute % SAMPLES_PER_VIOLATION
        fresh = [fingerprint for fingerprint in folds if fingerprint not in self._sampled]
        if fresh:
            SAMPLE.execute_many(connection, [_sample_row(fingerprint, slot, folds[fingerprint]) for fingerprint in fresh])
            self._unsettled.update(fresh)

    def ended(self, *, whole: bool) -> None:
        """The transaction has ended; ``whole`` when all that was stored in it is committed."""
        if whole:
            self._sampled |= self._unsettled
        else:
            self._ids.clear()
        self._unsettled = set()
        self._new.ended(whole=whole)
        self.facets.ended(whole=whole)
        self.ranks.ended()
        self.activity.ended(whole=whole)

    async def flush(self, write: Write) -> None:
        """Write through ``write`` what follows the reports at a distance: counters of facets, ranks, and who was heard of."""
        await self.facets.flush(write)
        await self.ranks.flush(write)
        await self.activity.flush(write)


def _stored(connection: Connection, fingerprints: Iterable[str]) -> dict[str, int]:
    """The ids of those of ``fingerprints`` that are stored."""
    wanted = sorted(fingerprints)
    found: dict[str, int] = {}
    for start in range(0, len(wanted), 500):  # SQLite's limit on variables of one statement was 999 for long
        chunk = wanted[start : start + 500]
        named = select(violations.c.fingerprint, violations.c.id).where(violations.c.fingerprint.in_(chunk))
        found.update((fingerprint, known) for fingerprint, known in connection.execute(named))
    return found


def _drop_new(connection: Connection, folds: dict[str, Fold], drops: Counter[tuple[int, DropReason]]) -> None:
    for fingerprint in folds.keys() - _stored(connection, folds).keys():
        fold = folds.pop(fingerprint)
        drops[fold.intake.project_id, DropReason.STORE_FULL] += fold.count


def _minutes(fold: Fold) -> list[tuple[int, ...]]:
    """Rows of minutes, in order: since the epoch, and reports of each disposition."""
    return [(minute, *counts) for minute, counts in sorted(fold.minutes.items())]


def _sums(fold: Fold) -> Sums:
    """Reports of each disposition."""
    if len(fold.minutes) == 1:
        [counts] = fold.minutes.values()
        return counts
    return list(map(sum, zip(*fold.minutes.values(), strict=True)))


def _add_totals(connection: Connection, folds: dict[str, Fold], sums: dict[str, Sums]) -> None:
    totals: dict[tuple[int, str, str, str], int] = {}
    for name, fold in folds.items():
        report, project_id = fold.newest, fold.intake.project_id
        for disposition, count in zip(DISPOSITIONS, sums[name], strict=True):
            if count:
                key = project_id, report.effective_directive or "", disposition, report.noise_class or ""
                totals[key] = totals.get(key, 0) + count
    TOTALS.execute_many(connection, [(*key, count) for key, count in sorted(totals.items())])


def _counts(fold: Fold, sums: Sums) -> tuple[Any, ...]:
    """What changes with every report of a violation: ``COUNTED``, but for the last of it, which drivers want in two ways."""
    newest = fold.newest
    return fold.count, *sums, fold.first_seen, fold.last_seen, newest.document_origin, newest.disposition


def _violation_row(fingerprint: str, fold: Fold, sums: Sums) -> dict[str, object]:
    report = fold.newest
    return {
        "fingerprint": fingerprint,
        **dict(zip(COUNTED, (*_counts(fold, sums), report.policy_allows), strict=True)),
        "deployment": fold.intake.deployment,
        "project_id": fold.intake.project_id,
        "effective_directive": report.effective_directive,
        "blocked_kind": report.blocked_kind,
        "blocked_origin": report.blocked_origin,
        "blocked_key": report.blocked_key,
        "place": report.place,
        "noise_class": report.noise_class and report.noise_class.value,
        "noise_rule": report.noise_rule,
        "stored_at": fold.intake.received_at,
        **first_rank(fold.count, fold.last_seen)._asdict(),
    }


def _sample_row(fingerprint: str, slot: int, fold: Fold) -> dict[str, object]:
    sample = fold.newest.sample
    return {
        "fp": fingerprint,
        "at_slot": slot,
        "s_seen_at": fold.last_seen,
        "s_document_uri": sample.document_uri,
        "s_referrer": sample.referrer,
        "s_blocked_uri": sample.blocked_uri,
        "s_source_file": sample.source_file,
        "s_line_number": sample.line_number,
        "s_column_number": sample.column_number,
        "s_status_code": sample.status_code,
        "s_disposition": fold.newest.disposition,
        "s_script_sample": sample.script_sample,
        "s_policy": sample.policy,
        "s_user_agent": sample.user_agent,
    }


def _add_drops(connection: Connection, drops: Counter[tuple[int, DropReason]]) -> None:
    rows = [{"project_id": p, "reason": reason.value, "count": n} for (p, reason), n in sorted(drops.items()) if n]
    if rows:
        DROP.execute_many(connection, rows)
