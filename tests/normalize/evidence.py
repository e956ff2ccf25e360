"""Evidence as the store gives it, and its changes."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.wire.evidence import Evidence, Facet, ObservedPolicy

SITE = "https://shop.example"
DAY = 86_400_000

_SEEN = Evidence(
    id="0f" * 16,
    effective_directive="img-src",
    blocked_kind="origin",
    blocked_origin="https://cdn.example",
    blocked_key="https://cdn.example",
    place="",
    document_origin=SITE,
    state="open",
    enforce=40,
    report=0,
    unknown=0,
    first_seen=0,
    last_seen=3 * DAY,
    days=4,
    clients=12,
    documents=(Facet(f"{SITE}/cart", 40, 0, DAY),),
    browsers=(Facet("Chrome 131", 40, 0, DAY),),
    paths=(),
    policies=(),
)


def seen(directive: str | None, blocked: str | None, kind: str = "origin", **changes: Any) -> Evidence:
    """A violation of ``directive``, seen 40 times by 12 clients on 4 days, with ``changes``."""
    return msgspec.structs.replace(
        _SEEN, effective_directive=directive, blocked_kind=kind, blocked_origin=blocked, blocked_key=blocked or kind, **changes
    )


def under(*texts: str, count: int = 40) -> tuple[ObservedPolicy, ...]:
    """Policies that a violation was observed under, the later ones newer."""
    return tuple(ObservedPolicy(f"{at:032x}", text, count, at, at) for at, text in enumerate(texts))


def at(*paths: str) -> tuple[Facet, ...]:
    """Blocked paths, each seen once."""
    return tuple(Facet(path, 1, 0, DAY) for path in paths)
