"""What a violation was seen with: documents, browsers, blocked paths, policies, and how many clients sent it.

A sight, that is a combination of such values, is stored with the batch that brings it first. When it comes again it is
counted in memory, and written every few seconds (:meth:`CspFacets.flush`): a flood costs no more than its distinct sights.
So a facet may be behind by what came since, and a process that dies takes that much with it; the counts of the violation
itself are exact. Each kind keeps the values that came first, until one has not been seen for an hour and another comes:
then it is counted among the others, which are one row with the value "".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from collector.persist.csp_clients import Seen, add_clients
from collector.persist.csp_fold import Fold
from collector.persist.csp_policies import CspPolicies
from collector.persist.csp_ranks import Write
from collector.persist.csp_states import reopen
from collector.persist.facet_statements import FACET, forget_values, known_values, lock
from collector.persist.sketch import REGISTERS, add

DOCUMENT, BROWSER, PATH, POLICY = "document", "browser", "path", "policy"
OTHER = ""  # the value of the row that counts all that have none of their own
VALUES_PER_KIND = 20
VALUE_LONGEST = 300
PATH_SEGMENTS = 3
DAY_MS = 86_400_000
STALE_MS = 3_600_000  # a value that was not seen for so long makes room for another
KNOWN_LIMIT = (
    5_000  # violations whose values are remembered: some 30 MB; beyond it they are forgotten, which costs a SELECT each
)
FAMILIAR_LIMIT = 10_000  # sights that are remembered: some 10 MB; a forgotten one is written at once
ROWS_PER_FLUSH = 1_000  # of one transaction: about 10 ms
FEW_CLIENTS = 16  # until a day has so many, each is stored with its batch

Key = tuple[str, str, str]  # fingerprint, kind, value
Under = tuple[int, str, str]  # project, policy, fingerprint: in this order rows of policies are locked

# What a report was seen with: fingerprint, document, browser, blocked URI, hash of the policy.
Sight = tuple[str, str | None, str | None, str | None, str | None]


class Tally(NamedTuple):
    """Reports with one value, and when they were received; of those that follow at a distance to some seconds."""

    project_id: int
    reports: int
    at: int


class Known(msgspec.Struct):
    """What is stored of one violation already, as far as this process knows."""

    project_id: int
    values: dict[str, dict[str, int]]  # kind -> value -> when it was last received, to some seconds
    day: int = 0
    sketch: bytearray = msgspec.field(default_factory=lambda: bytearray(REGISTERS))


class CspFacets:
    """The facets of one process. ``store`` and ``ended`` belong to the writer, ``flush`` to the schedule."""

    def __init__(self) -> None:
        self._policies = CspPolicies()
        self._known: dict[str, Known] = {}
        self._familiar: dict[Sight, Sight] = {}  # each as the one object that stands for it below
        self._pending: Counter[Sight] = Counter()  # reports that are committed, and not counted with their values yet
        self._unsettled: list[tuple[Sight, int]] = []  # the same, of the transaction under way
        self._at = 0  # when the newest of them was received
        self._changed: set[str] = set()  # violations whose sketch is not written yet
        self._unsettled_changed: set[str] = set()
        self._in_doubt = False  # parts of the transaction before may have been rolled back alone

    def store(self, connection: Connection, folds: Mapping[str, Fold]) -> None:
        """Note what ``folds``, whose violations are stored, were seen with; within the caller's transaction."""
        self._learn(connection, folds)
        self._look_again(next(iter(folds.values())).intake.received_at)  # a batch is a moment
        new: dict[Key, Tally] = {}
        stale: list[Key] = []
        under: Counter[Under] = Counter()
        texts: dict[str, str] = {}
        sketches = []
        familiar, again, day = self._familiar, self._unsettled, self._at // DAY_MS
        for fingerprint, fold in folds.items():
            for report, count in fold.reports:
                sample = report.sample
                sight = fingerprint, sample.document_uri, sample.user_agent, sample.blocked_uri, report.policy_hash
                same = familiar.get(sight)
                if same is not None:
                    again.append((same, count))
                    continue
                familiar[sight] = sight
                for kind, value in _values(sight):
                    if kind == POLICY:
                        under[fold.intake.project_id, value, fingerprint] += count
                        texts[value] = sample.policy or ""
                    else:
                        key = self._place((fingerprint, kind, value), stale)
                        _sum(new, key, Tally(fold.intake.project_id, count, self._at))
            known = self._known[fingerprint]
            if (known.day != day or add(known.sketch, fold.clients)) and self._has_few_clients(fingerprint, fold.clients):
                sketches.append(self._seen(fingerprint))
        if new or under or sketches:  # most batches bring nothing that was not there
            first = self._place_policies(connection, under, new, stale)
            self._policies.count(connection, _by_policy(under), texts, at=self._at)
            forget_values(connection, stale)
            _add_values(connection, new)
            add_clients(connection, sketches)
            reopen(connection, first, now=self._at)

    def ended(self, *, whole: bool) -> None:
        """The transaction has ended; ``whole`` when all that was stored in it is committed."""
        if whole:
            for sight, count in self._unsettled:
                self._pending[sight] = self._pending.get(sight, 0) + count
            self._changed |= self._unsettled_changed
        if not whole or self._in_doubt:
            # What is known may be what was rolled back. Reading it again is simpler than knowing better.
            self._familiar.clear()
            self._known.clear()
            self._policies.forget()
        self._in_doubt = not whole
        self._unsettled, self._unsettled_changed = [], set()

    async def flush(self, write: Write) -> None:
        """Write the counters that have changed, through ``write``. What a failure leaves unwritten waits for the next call."""
        sights, self._pending = self._pending, Counter()
        changed, self._changed = self._changed, set()
        try:
            for some in _slices(list(sights)):
                await write(partial(self._add_sights, sights={sight: sights[sight] for sight in some}))
                for sight in some:
                    del sights[sight]
            for names in _slices(sorted(changed)):
                await write(partial(self._add_sketches, fingerprints=names))
                changed.difference_update(names)
            if self._policies.leaving:
                await write(partial(self._policies.let_go, at=self._at))
        except BaseException:
            self._pending.update(sights)
            self._changed |= changed
            raise

    def _add_sights(self, connection: Connection, sights: Mapping[Sight, int]) -> None:
        """Count the values of sights; one that has lost its row since is among the others."""
        tallies: dict[Key, Tally] = {}
        under: Counter[Under] = Counter()
        for sight, reports in sights.items():
            known = self._known.get(sight[0])
            if known is None:  # forgotten in the last seconds, of more violations than are remembered
                continue
            for kind, value in _values(sight):
                if kind == POLICY:
                    under[known.project_id, value, sight[0]] += reports
                values = known.values.setdefault(kind, {})
                counted = value if value in values else OTHER
                values[counted] = self._at
                _sum(tallies, (sight[0], kind, counted), Tally(known.project_id, reports, self._at))
        lock(connection, {sight[0] for sight in sights})
        self._policies.count_again(connection, _by_policy(under), at=self._at)
        _add_values(connection, tallies)

    def _add_sketches(self, connection: Connection, fingerprints: list[str]) -> None:
        add_clients(connection, [self._seen(name) for name in fingerprints if name in self._known])

    def _look_again(self, at: int) -> None:
        """Forget which sights are familiar every hour: one that had no place may find one now."""
        if at // STALE_MS != self._at // STALE_MS or len(self._familiar) > FAMILIAR_LIMIT:
            self._familiar.clear()
        self._at = at

    def _learn(self, connection: Connection, folds: Mapping[str, Fold]) -> None:
        unknown = [fingerprint for fingerprint in folds if fingerprint not in self._known]
        if not unknown:
            return
        if len(self._known) + len(unknown) > KNOWN_LIMIT:
            self._known = {name: known for name in folds if (known := self._known.get(name)) is not None}
        for fingerprint in unknown:
            self._known[fingerprint] = Known(folds[fingerprint].intake.project_id, {})
        for fingerprint, kind, value, at in known_values(connection, unknown):
            self._known[fingerprint].values.setdefault(kind, {})[value] = at

    def _place_policies(
        self, connection: Connection, under: Counter[Under], new: dict[Key, Tally], stale: list[Key]
    ) -> list[tuple[str, str]]:
        """Add to ``new`` what reports came ``under``; the violations and policies that are seen together for the first time.

        A violation is seen under a policy also where it has no place for it: a resolved one opens again all the same.
        """
        first = []
        for (project_id, policy, fingerprint), reports in sorted(under.items()):
            has_row = self._policies.admit(connection, project_id, policy, at=self._at)
            is_known = policy in self._known[fingerprint].values.get(POLICY, ())
            if has_row and not is_known:
                first.append((fingerprint, policy))
            key = fingerprint, POLICY, policy if has_row or is_known else OTHER
            _sum(new, self._place(key, stale), Tally(project_id, reports, self._at))
        return first

    def _place(self, key: Key, stale: list[Key]) -> Key:
        """Where to count the value of ``key``: there, if there is a place or one can be had, else among the others."""
        fingerprint, kind, value = key
        values = self._known[fingerprint].values.setdefault(kind, {})
        if value not in values and value != OTHER and len(values) - (OTHER in values) >= VALUES_PER_KIND:
            oldest = min((name for name in values if name != OTHER), key=values.__getitem__)
            if self._at - values[oldest] < STALE_MS:
                value = OTHER
            else:
                del values[oldest]
                stale.append((fingerprint, kind, oldest))
        values[value] = self._at
        return fingerprint, kind, value

    def _has_few_clients(self, fingerprint: str, clients: set[int]) -> bool:
        """Whether today's sketch, which ``clients`` change, is to be stored with this batch: else it waits for a flush."""
        known, day = self._known[fingerprint], self._at // DAY_MS
        if day != known.day:
            known.day, known.sketch = day, bytearray(REGISTERS)
            add(known.sketch, clients)
        if REGISTERS - known.sketch.count(0) <= FEW_CLIENTS:
            return bool(clients)
        self._unsettled_changed.add(fingerprint)
        return False

    def _seen(self, fingerprint: str) -> Seen:
        known = self._known[fingerprint]
        return Seen(fingerprint, known.day, bytes(known.sketch))


def _values(sight: Sight) -> Iterator[tuple[str, str]]:
    """Kind and value of all that a sight says."""
    _, document, browser, blocked, policy = sight
    if document:
        yield DOCUMENT, document[:VALUE_LONGEST]
    if browser:
        yield BROWSER, browser
    if blocked and "://" in blocked:
        yield PATH, path_prefix(blocked)
    if policy:
        yield POLICY, policy


@lru_cache(4096)
def path_prefix(uri: str) -> str:
    """The path of a URL without query, or as much of it as three segments hold: then it ends with a slash."""
    path = "/" + uri.partition("://")[2].partition("/")[2]
    segments = path.split("/")
    if len(segments) > PATH_SEGMENTS + 1:
        path = "/".join(segments[: PATH_SEGMENTS + 1]) + "/"
    return path if len(path) <= VALUE_LONGEST else path[:VALUE_LONGEST].rpartition("/")[0] + "/"


def _sum(tallies: dict[Key, Tally], key: Key, tally: Tally) -> None:
    before = tallies.get(key)
    tallies[key] = tally if before is None else tally._replace(reports=before.reports + tally.reports)


def _slices(rows: list[Any]) -> list[list[Any]]:
    return [rows[start : start + ROWS_PER_FLUSH] for start in range(0, len(rows), ROWS_PER_FLUSH)]


def _by_policy(under: Mapping[Under, int]) -> Counter[tuple[int, str]]:
    """Reports by project and policy."""
    reports: Counter[tuple[int, str]] = Counter()
    for (project_id, policy, _), count in under.items():
        reports[project_id, policy] += count
    return reports


def _add_values(connection: Connection, tallies: Mapping[Key, Tally]) -> None:
    if not tallies:
        return
    rows = [
        {"fp": fingerprint, "of_kind": kind, "of_value": value, "n": tally.reports, "at": tally.at, "at_last": tally.at}
        for (fingerprint, kind, value), tally in sorted(tallies.items())
    ]
    FACET.execute_many(connection, rows)
