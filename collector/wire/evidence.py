"""What is known of a violation beyond its counts: what a policy can be built from."""

from __future__ import annotations

import msgspec


class Facet(msgspec.Struct, frozen=True):
    """Reports with one value. Times in milliseconds since the epoch."""

    value: str  # "" for all that have no row of their own
    count: int
    first_seen: int
    last_seen: int


class ObservedPolicy(msgspec.Struct, frozen=True):
    """A policy that a violation was observed under. Times in milliseconds since the epoch, of that violation's reports."""

    hash: str
    text: str | None  # without nonces and report endpoints; None when it is no longer kept
    count: int
    first_seen: int
    last_seen: int


class Evidence(msgspec.Struct, frozen=True):
    """One violation of a project that is no noise. Facets are ordered by count; times in milliseconds since the epoch."""

    id: str  # the fingerprint
    effective_directive: str | None
    blocked_kind: str
    blocked_origin: str | None
    blocked_key: str
    place: str
    document_origin: str | None
    state: str  # open, acknowledged, ignored, resolved
    enforce: int  # reports by disposition
    report: int
    unknown: int
    first_seen: int
    last_seen: int
    days: int  # on how many days (UTC) reports were received
    clients: int  # the highest daily estimate
    documents: tuple[Facet, ...]
    browsers: tuple[Facet, ...]
    paths: tuple[Facet, ...]  # prefixes of blocked paths; one that was cut ends with a slash
    policies: tuple[ObservedPolicy, ...]

    @property
    def count(self) -> int:
        """How many reports there are."""
        return self.enforce + self.report + self.unknown
