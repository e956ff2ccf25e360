"""The policy of a report, without what changes with every response and without the key it reports with."""

from __future__ import annotations

import functools
import hashlib

from collector.normalize.text import clean

LONGEST = 8192
HASH_DIGITS = 32
_CACHED_LENGTH = 2048
_CACHED = 256  # of 2048 characters, raw and clean: a megabyte when somebody means to fill it

_ENDPOINTS = frozenset({"report-uri", "report-to"})
_NONCES = ("'nonce-", "nonce-", '"nonce-')


def policy(raw: str | None) -> str | None:
    """At most ``LONGEST`` characters without nonces, ``report-uri`` and ``report-to``; None when nothing is left."""
    if not raw:
        return None
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


def _cleaned(raw: str) -> str | None:
    directives = map(_directive, clean(raw, 2 * LONGEST).split(";"))
    return "; ".join([directive for directive in directives if directive])[:LONGEST].rstrip() or None


def _directive(text: str) -> str:
    """One directive, or several policies' with commas between them, without what must not be kept."""
    lowered = text.lower()
    if "nonce-" not in lowered and "report-" not in lowered:
        return text.strip()
    words = [word for word in text.split() if not _is_nonce(word.lower())]
    # All that follows an endpoint goes too: a URL may hold commas, and it holds the site's key.
    names = [word.lower().rpartition(",")[2] for word in words]
    return " ".join(words[: next((at for at, name in enumerate(names) if name in _ENDPOINTS), None)])


def _is_nonce(word: str) -> bool:
    return "'nonce-" in word or word.startswith(_NONCES)


_cached = functools.lru_cache(_CACHED)(_cleaned)
