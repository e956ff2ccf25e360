"""What is asked of stored violations, and what is answered. Times are RFC 3339, UTC."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec

from collector.wire.records import NoiseClass

MAX_LIMIT = 1_000  # results of one page


class Noise(enum.StrEnum):
    """Whether violations that are no fault of the site are part of the answer."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    ONLY = "only"


class Disposition(enum.StrEnum):
    """What the browser says it did."""

    ENFORCE = "enforce"
    REPORT = "report"
    UNKNOWN = "unknown"


class State(enum.StrEnum):
    """What somebody decided about a violation. Only resolved ones open again by themselves."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    IGNORED = "ignored"
    RESOLVED = "resolved"


class Sort(enum.StrEnum):
    """What a list begins with: the newest, the most reported, the last seen, or what grows most against its usual rate."""

    FIRST_SEEN = "first_seen"
    COUNT = "count"
    LAST_SEEN = "last_seen"
    TREND = "trend"


class ViolationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a list of violations. ``after`` is the ``next`` of the page before."""

    noise: Noise = Noise.EXCLUDE
    sort: Sort = Sort.FIRST_SEEN
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 100
    after: str | None = None
    project: str | None = None  # its name
    state: State | None = None
    directive: str | None = None
    noise_class: NoiseClass | None = None  # of those that ``noise`` selects
    kind: str | None = None  # a blocked kind
    origin: str | None = None  # a blocked origin
    document: str | None = None  # the URL of a page without query, or its origin
    disposition: Disposition | None = None  # at least one report with it
    since: datetime | None = None  # seen at or after
    until: datetime | None = None  # seen before
    text: Annotated[str, msgspec.Meta(max_length=200)] | None = None  # part of what is blocked, its place or page; or the id


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
    state: State = State.OPEN
    state_at: datetime | None = None  # None while nobody has changed it
    state_by: str | None = None  # a user's name; "rule" or "report" when nobody did it
    days: int = 1  # on which it was seen, UTC
    clients: int = 0  # the highest estimate of one day
    trend: float = 1.0  # its rate as a multiple of what is usual for it: 1 is steady, at most 28
    policy_allows: bool = False  # whether the policy of the newest report seems to allow it: a blocked redirect looks like that


class ViolationPage(msgspec.Struct, frozen=True):
    """``count`` violations match in all, of which ``results`` is one page; ``next`` is None on the last one.

    No more than 10,000 are counted. A page may hold fewer results than asked for, and still have a next one.
    """

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


class ViolationFacet(msgspec.Struct, frozen=True):
    """Reports of a violation with one value; ``value`` is empty for all that have none of their own."""

    value: str
    count: int
    first_seen: datetime
    last_seen: datetime


class ViolationPolicy(msgspec.Struct, frozen=True):
    """A policy that a violation was observed under; ``text`` is None when it is no longer kept."""

    hash: str
    text: str | None
    count: int
    first_seen: datetime
    last_seen: datetime


class StateChange(msgspec.Struct, frozen=True):
    """Who changed the state of a violation, and why."""

    at: datetime
    by: str
    old_state: State
    new_state: State
    note: str | None


class ViolationDetail(msgspec.Struct, frozen=True):
    """One violation, its reports over time, what it was seen with, and its samples, newest first: all of one moment."""

    violation: Violation
    series: Series
    samples: list[ViolationSample]
    documents: list[ViolationFacet]
    browsers: list[ViolationFacet]
    paths: list[ViolationFacet]
    policies: list[ViolationPolicy]
    history: list[StateChange]


class ViolationGroup(msgspec.Struct, frozen=True):
    """What is blocked alike in several projects or places."""

    effective_directive: str | None
    blocked_kind: str
    blocked_origin: str | None
    blocked_key: str
    noise_class: str | None
    projects: list[str]
    violations: int
    count: int
    first_seen: datetime
    last_seen: datetime


class ViolationGroups(msgspec.Struct, frozen=True):
    """Groups, the most reported first."""

    results: list[ViolationGroup]


class NewState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for one violation."""

    state: State
    note: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class NewStates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for several violations."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_LIMIT)]
    state: State
    note: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class Changed(msgspec.Struct, frozen=True):
    """How many were in another state before."""

    changed: int


class NewIgnoreRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be ignored from its first report on; without a project in all of them."""

    project: str | None = None
    directive: str | None = None
    blocked: Annotated[str, msgspec.Meta(max_length=2_048)] | None = None  # an origin, a scheme with its colon, or a keyword
    note: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class IgnoreRuleShown(msgspec.Struct, frozen=True):
    """A rule, with who made it."""

    id: int
    project: str | None
    directive: str | None
    blocked: str | None
    note: str | None
    created_at: datetime
    created_by: str


class IgnoreRules(msgspec.Struct, frozen=True):
    """Rules, oldest first."""

    results: list[IgnoreRuleShown]
