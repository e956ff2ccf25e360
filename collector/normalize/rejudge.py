"""A stored violation judged by other rules than when it came in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from collector.normalize.filters import NoiseFilter
from collector.normalize.fingerprint import fingerprint
from collector.wire.noise import Judgement, StoredViolation

_HEX_DIGITS = 32


def digests(noise: NoiseFilter) -> tuple[tuple[str, str], ...]:
    """The names of the rules that are enabled, in their order, each with a digest of what it means."""
    return tuple((rule.name, _digest(rule)) for rule in noise.rules if rule.enabled)


def _digest(rule: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(rule, order="deterministic")).hexdigest()[:_HEX_DIGITS]


class Rejudge:
    """Judges stored violations by the rules of ``noise``.

    Stored URIs are shorter than those that were judged: of most schemes nothing else is left, and never a query. So a rule
    that matched then and means the same now is taken to match still.

    Args:
        noise: the rules.
        judged_by: digests by name of the rules that the stored violations were judged by.
    """

    def __init__(self, noise: NoiseFilter, judged_by: Mapping[str, str]) -> None:
        self._noise = noise
        self._unchanged = frozenset(name for name, digest in digests(noise) if judged_by.get(name) == digest)

    def __call__(self, stored: StoredViolation) -> Judgement | None:
        """What becomes of ``stored``, which may be what it is; None when its samples disagree or say too little."""
        ranks = {self._rank(stored, number) for number in range(len(stored.samples))}
        if not ranks or None in ranks:
            return None
        known = {rank for rank in ranks if rank is not None}
        classes = {self._noise.rules[rank].noise_class if rank != self._noise.none else None for rank in known}
        if len(classes) > 1:
            return None
        first, (noise_class,) = min(known), classes
        return Judgement(
            noise_class=noise_class,
            noise_rule=self._noise.rules[first].name if first != self._noise.none else None,
            fingerprint=fingerprint(
                stored.project, (stored.effective_directive, stored.blocked_key, noise_class, stored.place)
            ),
        )

    def _rank(self, stored: StoredViolation, number: int) -> int | None:
        """The rank of the first rule that fits a sample; None when only the URI as it was sent could tell."""
        sample = stored.samples[number]
        rank = self._noise.rank(
            blocked=sample.blocked_uri,
            source=sample.source_file,
            document=sample.document_uri,
            sample=sample.script_sample,
            directive=stored.effective_directive,
        )
        before = self._noise.ranks.get(stored.noise_rule or "")
        if before is None or rank <= before:
            return rank
        if stored.noise_rule in self._unchanged:
            return before
        rule = self._noise.rules[before]
        return None if rule.prefixes or rule.paths or rule.parts else rank
