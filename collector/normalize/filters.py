"""Which noise rule fits a report, if any. Pure: the same report always gets the same rule."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from collector.normalize.noise import RULES, Place, Rule
from collector.normalize.uris import uri

_NONE = len(RULES)  # the rank of a report that no rule fits
_READ = 512  # of a URI: enough for its scheme, its host, and the path of an injected script
_CACHED = 2048

# The table turned over once, so that judging a URI costs a look-up and not a walk through all rules.
_RANKED = tuple((rank, rule) for rank, rule in enumerate(RULES) if rule.enabled)
_HOST_RULES = frozenset(rank for rank, rule in _RANKED if rule.hosts or rule.endings)
_SAMPLES = tuple((rank, re.compile(rule.samples)) for rank, rule in _RANKED if rule.samples)


def _first_ranks(keys: Iterable[tuple[tuple[Place, str | None, str], int]]) -> dict[tuple[Place, str | None, str], int]:
    ranks: dict[tuple[Place, str | None, str], int] = {}
    for key, rank in keys:
        ranks.setdefault(key, rank)
    return ranks


_SCHEMES = _first_ranks(
    ((place, rule.directive, scheme), rank) for rank, rule in _RANKED for place in rule.where for scheme in rule.schemes
)
_HOSTS = _first_ranks(
    ((place, rule.directive, host), rank) for rank, rule in _RANKED for place in rule.where for host in rule.hosts
)
_LABELS = max(host.count(".") for _, _, host in _HOSTS) + 1
_DIRECTIVES = frozenset(rule.directive for _, rule in _RANKED if rule.directive)
_ENDINGS = tuple((rank, rule) for rank, rule in _RANKED if rule.endings)
_TEXTS = tuple((rank, rule) for rank, rule in _RANKED if rule.prefixes or rule.parts)


def noise(
    *, blocked: str | None, source: str | None, document: str | None, sample: str | None, directive: str | None
) -> Rule | None:
    """The first rule of the table that fits; the URIs are as the browser sent them, the sample is already clean."""
    rank = _NONE
    if blocked:
        rank = _rank(Place.BLOCKED, blocked[:_READ], directive)
    if source:
        rank = min(rank, _rank(Place.SOURCE, source[:_READ], directive))
    if document:
        # The makers of such software have sites too, and what those block of their own hosts is no noise.
        if rank in _HOST_RULES and _rank(Place.BLOCKED, document[:_READ], directive) == rank:
            rank = _NONE
        rank = min(rank, _rank(Place.DOCUMENT, document[:_READ], directive))
    if sample and rank == _NONE:
        rank = _sample_rank(sample)
    return None if rank == _NONE else RULES[rank]


@functools.lru_cache(_CACHED)
def _rank(place: Place, raw: str, directive: str | None) -> int:
    """The rank of the first rule that fits the URI ``raw`` at ``place``."""
    found = uri(raw)
    about = directive if directive in _DIRECTIVES else None
    rank = min(
        _SCHEMES.get((place, None, found.scheme), _NONE),
        _SCHEMES.get((place, about, found.scheme), _NONE),
        _host_rank(place, found.host, about) if found.host else _NONE,
    )
    lowered = raw.lower()
    for text_rank, rule in _TEXTS:
        if place in rule.where and (lowered.startswith(rule.prefixes) or any(part in lowered for part in rule.parts)):
            return min(rank, text_rank)
    return rank


@functools.lru_cache(_CACHED)
def _host_rank(place: Place, host: str, directive: str | None) -> int:
    ranks = [rank for rank, rule in _ENDINGS if place in rule.where and host.endswith(rule.endings)]
    for domain in _domains(host):
        ranks.append(_HOSTS.get((place, None, domain), _NONE))
        ranks.append(_HOSTS.get((place, directive, domain), _NONE))
    return min(ranks)


def _domains(host: str) -> list[str]:
    """The host and each domain above it, as far as rules name them: names match on the borders of labels only."""
    labels = host.rstrip(".").rsplit(".", _LABELS)[-_LABELS:]
    return [".".join(labels[start:]) for start in range(len(labels))]


@functools.lru_cache(_CACHED)
def _sample_rank(sample: str) -> int:
    return next((rank for rank, pattern in _SAMPLES if pattern.search(sample)), _NONE)
