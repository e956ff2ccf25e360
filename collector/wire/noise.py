"""Noise rules as they are shown, and stored violations as they are judged again."""

from __future__ import annotations

import msgspec

from collector.wire.records import NoiseClass, Sample


class NoiseRule(msgspec.Struct, frozen=True, rename={"noise_class": "class"}):
    """One rule of the table in effect, in the order of its rank, and how many reports it ever matched."""

    name: str
    noise_class: NoiseClass
    enabled: bool
    shipped: bool
    schemes: list[str]
    hosts: list[str]
    endings: list[str]
    prefixes: list[str]
    paths: list[str]
    parts: list[str]
    samples: str | None
    directive: str | None
    where: list[str]
    matches: int


class NoiseRules(msgspec.Struct, frozen=True):
    """The table. ``rejudging`` says that stored violations are still being judged by it."""

    count: int
    results: list[NoiseRule]
    rejudging: bool


class StoredViolation(msgspec.Struct, frozen=True, gc=False):
    """What is left of a violation's reports to judge them by: its samples, as they are stored."""

    id: int
    project: str
    fingerprint: str
    effective_directive: str | None
    blocked_key: str
    place: str
    noise_class: NoiseClass | None
    noise_rule: str | None
    count: int
    samples: tuple[Sample, ...]


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What rules make of a stored violation."""

    noise_class: NoiseClass | None
    noise_rule: str | None
    fingerprint: str


class Rejudging(msgspec.Struct, frozen=True):
    """A change of rules that the stored violations follow.

    ``rules`` are the names and digests of the table they go to; ``judged_by`` is, by name, what rules meant when the
    violations were judged. The violations with ids above ``after`` and up to ``upto`` are still to be looked at.
    """

    rules: tuple[tuple[str, str], ...]
    judged_by: dict[str, str]
    upto: int
    after: int = 0
