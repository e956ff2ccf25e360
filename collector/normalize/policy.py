"""The policy of a report, without what changes with every response and without the key it reports with."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from collector.normalize.text import clean

LONGEST = 8192
HASH_DIGITS = 32
_CACHED_LENGTH = 2048
_CACHED = 256  # of 2048 characters, raw and clean: a megabyte when somebody means to fill it

_ENDPOINTS = frozenset({"report-uri", "report-to"})
_NONCES = ("'nonce-", "nonce-", '"nonce-')
_A_NONCE = "'nonce-'"


class Policy(NamedTuple):
    """A policy as it may be stored, and as it is judged by: with the place of each nonce, but not the nonce."""

    text: str | None
    judged: str | None


NONE = Policy(None, None)


def policy(raw: str | None) -> Policy:
    """At most ``LONGEST`` characters without nonces, ``report-uri`` and ``report-to``; None when nothing is left."""
    if not raw:
        return NONE
    if len(raw) > _CACHED_LENGTH:
        return _cleaned(raw)
    return _cached(raw)


@functools.lru_cache(_CACHED)
def policy_hash(cleaned: str | None) -> str | None:
    """32 hex digits that name a policy as :func:`policy` gives it; None when there is none.

    Directives and their sources are hashed sorted: both are sets to a browser, and servers write them in any order. Of a
    directive that is given twice the first counts (https://w3c.github.io/webappsec-csp/#parse-serialized-policy).
    """
    if cleaned is None:
        return None
    directives: dict[str, list[str]] = {}
    for directive in cleaned.split(";"):
        name, *sources = directive.split() or [""]
        directives.setdefault(name.lower(), sorted(set(sources)))
    canonical = ";".join(" ".join((name, *sources)) for name, sources in sorted(directives.items()) if name)
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]


def _cleaned(raw: str) -> Policy:
    directives = list(map(_directive, clean(raw, 2 * LONGEST).split(";")))
    return Policy(*(_joined(each) for each in zip(*directives, strict=True)))


def _joined(directives: Iterable[str]) -> str | None:
    return "; ".join([directive for directive in directives if directive])[:LONGEST].rstrip() or None


def _directive(text: str) -> tuple[str, str]:
    """One directive, or several policies' with commas between them, in both forms of :class:`Policy`."""
    lowered = text.lower()
    if "nonce-" not in lowered and "report-" not in lowered:
        return (text := text.strip()), text
    words = [_A_NONCE if _is_nonce(word.lower()) else word for word in text.split()]
    # All that follows an endpoint goes too: a URL may hold commas, and it holds the site's key.
    names = [word.lower().rpartition(",")[2] for word in words]
    words = words[: next((at for at, name in enumerate(names) if name in _ENDPOINTS), None)]
    return " ".join([word for word in words if word is not _A_NONCE]), " ".join(words)


def _is_nonce(word: str) -> bool:
    return "'nonce-" in word or word.startswith(_NONCES)


_cached = functools.lru_cache(_CACHED)(_cleaned)
