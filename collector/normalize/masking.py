"""What in a path can name a person or open a session is masked before it is stored."""

from __future__ import annotations

import re

EMAIL, UUID, TOKEN = "{email}", "{uuid}", "{token}"

_SUSPICIOUS = re.compile(r"@|%40|[A-Za-z0-9_-]{16}")
_UUID = re.compile(r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
# Three parts in base64url, the first an object: {" is eyJ in base64 (RFC 7519).
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]*(?:\.[\w-]*)?", re.ASCII)
# Sixteen or more URL-safe characters are long enough to be a secret, if a digit is among them. Percent-encoded bytes are
# matched only to be passed over: their digits belong to no run.
_RUN = re.compile(r"%[0-9A-Fa-f]{2}|[A-Za-z0-9_-]{16,}")
# The part after the @; a version as in react@18.2.0 is none.
_DOMAIN = re.compile(r"(?!\d+\.\d)[^\s@]*\.[A-Za-z]{2,}\W*")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]{1,3}|[0-9]{1,4}|[a-z]{1,2}[0-9]{1,4}|[0-9]{1,4}[a-z]{1,2}")

# In 2024-06-some-title or lib-12-min most characters are letters; in keys like abcd-1234-efgh-5678 they are not.
_SLUG_LETTERS = 0.7


def masked(path: str) -> str:
    """``path`` with e-mail addresses, UUIDs and whatever looks like a token replaced by a word in braces."""
    if not _SUSPICIOUS.search(path):
        return path
    return "/".join(map(_segment, path.split("/")))


def _segment(segment: str) -> str:
    if not _SUSPICIOUS.search(segment):
        return segment
    _, at, domain = segment.replace("%40", "@").partition("@")
    if at and _DOMAIN.fullmatch(domain):
        return EMAIL
    return _RUN.sub(_run, _JWT.sub(TOKEN, _UUID.sub(UUID, segment)))


def _run(match: re.Match[str]) -> str:
    run = match[0]
    if run.startswith("%") or not any(map(str.isdigit, run)) or _is_slug(run):
        return run
    return TOKEN


def _is_slug(run: str) -> bool:
    """Whether people wrote it: short words and numbers with dashes between them."""
    words = [word for word in run.replace("_", "-").split("-") if word]
    letters = sum(map(str.isalpha, run))
    return len(words) > 1 and letters >= _SLUG_LETTERS * sum(map(len, words)) and all(_WORD.fullmatch(word) for word in words)
