"""Which noise rule fits a report, if any. Pure: by the same rules the same report always gets the same one."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from collector.normalize.noise import RULES, Place, Rule
from collector.normalize.uris import QUERY, uri

_READ = 512  # of a URI: enough for its scheme, its host, and the path of an injected script
_CACHED = 2048

Key = tuple[Place, str | None, str]  # where, about which directive (None: any), and a scheme or host


class NoiseFilter:
    """A table of rules, turned over once, so that judging a URI costs a look-up and not a walk through all rules.

    Args:
        rules: in the order of their rank; those that are not enabled fit nothing.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.none = len(self.rules)  # the rank of a report that no rule fits
        ranked = [(rank, rule) for rank, rule in enumerate(self.rules) if rule.enabled]
        self.ranks = {rule.name: rank for rank, rule in ranked}
        self._schemes = _first_ranks(
            ((place, rule.directive, scheme), rank) for rank, rule in ranked for place in rule.where for scheme in rule.schemes
        )
        self._hosts = _first_ranks(
            ((place, rule.directive, host), rank) for rank, rule in ranked for place in rule.where for host in rule.hosts
        )
        self._labels = max((host.count(".") for _, _, host in self._hosts), default=0) + 1
        self._directives = frozenset(rule.directive for _, rule in ranked if rule.directive)
        self._endings = tuple((rank, rule) for rank, rule in ranked if rule.endings)
        self._texts = tuple((rank, rule) for rank, rule in ranked if rule.prefixes or rule.paths or rule.parts)
        self._samples = tuple((rank, rule, re.compile(rule.samples)) for rank, rule in ranked if rule.samples)
        self._first_sample = min((rank for rank, _, _ in self._samples), default=self.none)
        self._sparing = frozenset(rank for rank, rule in ranked if (rule.hosts or rule.endings) and rule.spares_makers)
        self._rank = functools.lru_cache(_CACHED)(self._judged)
        self._host_rank = functools.lru_cache(_CACHED)(self._judged_host)
        self._sample_rank = functools.lru_cache(_CACHED)(self._judged_sample)

    def rule(
        self, *, blocked: str | None, source: str | None, document: str | None, sample: str | None, directive: str | None
    ) -> Rule | None:
        """The first rule that fits; the URIs are as the browser sent them or as they are stored, the sample is clean."""
        rank = self.rank(blocked=blocked, source=source, document=document, sample=sample, directive=directive)
        return None if rank == self.none else self.rules[rank]

    def rank(
        self, *, blocked: str | None, source: str | None, document: str | None, sample: str | None, directive: str | None
    ) -> int:
        """The place of that rule in the table; ``none`` when there is no such rule."""
        about = directive if directive in self._directives else None
        rank = self.none
        if blocked:
            rank = self._rank(Place.BLOCKED, blocked[:_READ], about)
        if source:
            rank = min(rank, self._rank(Place.SOURCE, source[:_READ], about))
        if document:
            # The makers of such software have sites too, and what those block of their own hosts is no noise.
            if rank in self._sparing and self._rank(Place.BLOCKED, document[:_READ], about) == rank:
                rank = self.none
            rank = min(rank, self._rank(Place.DOCUMENT, document[:_READ], about))
        if sample and rank > self._first_sample:
            rank = min(rank, self._sample_rank(sample, about))
        return rank

    def _judged(self, place: Place, raw: str, about: str | None) -> int:
        """The rank of the first rule that fits the URI ``raw`` at ``place``."""
        found = uri(raw)
        rank = min(
            self._schemes.get((place, None, found.scheme), self.none),
            self._schemes.get((place, about, found.scheme), self.none),
            self._host_rank(place, found.host, about) if found.host else self.none,
        )
        lowered = raw.lower()
        before_query = QUERY.split(lowered, maxsplit=1)[0]  # in which a site's own link may say anything
        for text_rank, rule in self._texts:
            if place in rule.where and _is_about(rule, about) and _fits_text(rule, lowered, before_query):
                return min(rank, text_rank)
        return rank

    def _judged_host(self, place: Place, host: str, about: str | None) -> int:
        ranks = [
            rank
            for rank, rule in self._endings
            if place in rule.where and _is_about(rule, about) and host.endswith(rule.endings)
        ]
        for domain in self._domains(host):
            ranks.append(self._hosts.get((place, None, domain), self.none))
            ranks.append(self._hosts.get((place, about, domain), self.none))
        return min(ranks)

    def _domains(self, host: str) -> Iterator[str]:
        """The host and each domain above it, as far as rules name them: names match on the borders of labels only."""
        labels = host.rstrip(".").rsplit(".", self._labels)[-self._labels :]
        return (".".join(labels[start:]) for start in range(len(labels)))

    def _judged_sample(self, sample: str, about: str | None) -> int:
        fitting = (rank for rank, rule, pattern in self._samples if _is_about(rule, about) and pattern.search(sample))
        return next(fitting, self.none)


def _first_ranks(keys: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    ranks: dict[Key, int] = {}
    for key, rank in keys:
        ranks.setdefault(key, rank)
    return ranks


def _is_about(rule: Rule, directive: str | None) -> bool:
    return rule.directive is None or rule.directive == directive


def _fits_text(rule: Rule, lowered: str, before_query: str) -> bool:
    return (
        lowered.startswith(rule.prefixes)
        or any(path in before_query for path in rule.paths)
        or any(part in lowered for part in rule.parts)
    )


SHIPPED = NoiseFilter(RULES)
