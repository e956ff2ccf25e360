"""What is asked of stored violations, and what is answered. Times are RFC 3339, UTC."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec

MAX_LIMIT = 1_000  # results of one page


class Noise(enum.StrEnum):
    """Whether violations that are no fault of the site are part of the answer."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    ONLY = "only"


class ViolationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a list of violations. ``after`` is the ``next`` of the page before."""

    noise: Noise = Noise.EXCLUDE
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 100
    after: str | None = None
    project: str | None = None  # its name
    directive: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """Reports by what the browser said it did: enforced the policy, only reported, or did not say."""

    enforce: int
    report: int
    unknown: int


class Violation(msgspec.Struct, frozen=True):
    """One violation: all reports of a project that agree in directive, blocked key, noise class and place."""

    id: str  # the fingerprint
    project: str
    effective_directive: str | None
    blocked_kind: str
    blocked_origin: str | None
    document_origin: str | None  # of the newest report
    disposition: str | None  # of the newest report
    noise_class: str | None
    noise_rule: str | None
    count: int
    counts: Counts
    first_seen: datetime
    last_seen: datetime
    place: str | None  # of inline and eval only


class ViolationPage(msgspec.Struct, frozen=True):
    """``count`` violations match in all, of which ``results`` is one page; ``next`` is None on the last one."""

    count: int
    results: list[Violation]
    next: str | None


class ViolationSample(msgspec.Struct, frozen=True):
    """The particulars of one report of a violation."""

    seen_at: datetime
    disposition: str | None
    document_uri: str | None
    referrer: str | None
    blocked_uri: str | None
    source_file: str | None
    line_number: int | None
    column_number: int | None
    status_code: int | None
    script_sample: str | None
    policy: str | None
    user_agent: str | None


class SeriesPoint(msgspec.Struct, frozen=True):
    """Reports from ``at`` on, for one step."""

    at: datetime
    count: int
    counts: Counts


class Series(msgspec.Struct, frozen=True):
    """Reports over time, a point for every step, also where there were none."""

    step_seconds: int  # at least what was asked for, and a multiple of how finely the time asked for is still known
    points: list[SeriesPoint]


class ViolationDetail(msgspec.Struct, frozen=True):
    """One violation, its reports over time, and its samples, newest first: all of one moment."""

    violation: Violation
    series: Series
    samples: list[ViolationSample]
