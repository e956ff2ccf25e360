"""Hostile text made storable: valid UTF-8, no control characters, bounded."""

from __future__ import annotations

import re

# C0, DEL and C1; line and paragraph separators; and the marks that reorder what stands around them on a screen.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


def clean(raw: str, limit: int, *, control: str = " ") -> str:
    """At most ``limit`` characters of ``raw``, each control character replaced and each half of a surrogate pair marked."""
    cut = raw[:limit]
    if cut.isprintable():
        return cut
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(control, cut))


def squeezed(text: str) -> str:
    """``text`` with each run of white space as one blank, and none at its ends."""
    return _SPACE.sub(" ", text).strip()
