"""The name of a violation: the same for every report of it, in every process and for ever."""

from __future__ import annotations

import functools
import hashlib

from collector.wire.records import NoiseClass

Group = tuple[str | None, str, NoiseClass | None, str]

_HEX_DIGITS = 32  # 128 bits: two of a billion violations collide with a probability of 1e-21
_CACHED = 4096


@functools.lru_cache(_CACHED)
def fingerprint(project: str, group: Group) -> str:
    """32 hex digits of a SHA-256 over the project's name and ``CspReport.group``.

    Each part is preceded by its length, so that no two groups write the same bytes; None is told apart from "".
    """
    digest = hashlib.sha256()
    for part in (project, *group):
        if part is None:
            digest.update(b"-;")
        else:
            data = part.encode("utf-8", "replace")
            digest.update(b"%d:%b;" % (len(data), data))
    return digest.hexdigest()[:_HEX_DIGITS]
