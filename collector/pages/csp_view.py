"""What the pages about violations say, made of what the store knows: pure functions, no request and no clock of their own."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

from collector.pages import units
from collector.pages.chart import Step, stacked
from collector.pages.view import Link, milliseconds, violation_row
from collector.wire.identity import Role, User
from collector.wire.records import NoiseClass
from collector.wire.violations import (
    Counts,
    Noise,
    Series,
    Sort,
    State,
    StateChange,
    Violation,
    ViolationDetail,
    ViolationFacet,
    ViolationPage,
    ViolationSample,
)

PAGE = 50  # violations on one page
HOUR_S, DAY_S = 3_600, 86_400
KINDS = ("enforce", "report", "unknown")
KIND_WORDS = ("blocked", "reported only", "not said")
STATES = (("open", "Open"), ("acknowledged", "Acknowledged"), ("ignored", "Ignored"), ("resolved", "Resolved"), ("all", "All"))
SORTS = {
    Sort.COUNT: "Most reports",
    Sort.LAST_SEEN: "Last seen",
    Sort.FIRST_SEEN: "Newest",
    Sort.TREND: "Growing most",
}
SEEN = {
    "": "Ever",
    "1h": "In the last hour",
    "24h": "In the last 24 hours",
    "7d": "In the last 7 days",
    "30d": "In the last 30 days",
}
SEEN_MS = {"1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000}
NOISES = {
    "": "Without noise",
    Noise.INCLUDE.value: "With noise",
    Noise.ONLY.value: "Noise alone",
    **{each.value: f"Noise: {each.value}" for each in NoiseClass},
}
FIELDS = ("state", "sort", "project", "directive", "noise", "seen", "text", "after")
DECISIONS = {
    State.OPEN: "Reopen",
    State.ACKNOWLEDGED: "Acknowledge",
    State.IGNORED: "Ignore",
    State.RESOLVED: "Resolve",
}


class Period(enum.Enum):
    """How far back one violation is drawn: its name in the address, in days, and a bar's seconds."""

    DAY = ("24h", "the last 24 hours", 1, HOUR_S // 2)
    WEEK = ("7d", "the last 7 days", 7, 3 * HOUR_S)
    MONTH = ("30d", "the last 30 days", 30, DAY_S)
    QUARTER = ("90d", "the last 90 days", 90, DAY_S)

    def __init__(self, label: str, words: str, days: int, step: int) -> None:
        self.label = label
        self.words = words
        self.days = days
        self.step = step

    @classmethod
    def named(cls, label: str | None) -> Period:
        """The period of that name; 7 days when there is none."""
        return next((period for period in cls if period.label == label), cls.WEEK)


class Filters(NamedTuple):
    """What the address of the list asks for, as text."""

    state: str = State.OPEN.value
    sort: str = Sort.COUNT.value
    project: str = ""
    directive: str = ""
    noise: str = ""
    seen: str = ""
    text: str = ""
    after: str = ""

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> Filters:
        """The filters of an address; what is no choice of a list counts as none."""
        given = {name: query[name].strip() for name in FIELDS if query.get(name, "").strip()}
        choices: dict[str, list[str]] = {
            "state": [state for state, _ in STATES],
            "sort": [*SORTS],
            "noise": [*NOISES],
            "seen": [*SEEN],
        }
        return cls(**{name: value for name, value in given.items() if value in choices.get(name, [value])})

    def parameters(self, now: int) -> dict[str, str]:
        """The same as the API's parameters."""
        of_class = self.noise if self.noise in tuple(NoiseClass) else ""
        since = units.iso(now - SEEN_MS[self.seen]) if self.seen else ""
        return {
            "state": "" if self.state == "all" else self.state,
            "sort": self.sort,
            "project": self.project,
            "directive": self.directive,
            "noise": Noise.ONLY.value if of_class else self.noise,
            "noise_class": of_class,
            "since": since,
            "text": self.text,
            "after": self.after,
            "limit": str(PAGE),
        }

    def href(self, *, told: str = "", **changed: str) -> str:
        """The list's address with some choices changed, and what it is to say; another choice begins at the first page."""
        other = self._replace(**{"after": "", **changed})
        asked = {name: value for name, value in other._asdict().items() if value != Filters._field_defaults[name]}
        query = "&".join(part for part in (urlencode(asked), told) if part)
        return f"/csp?{query}" if query else "/csp"

    @property
    def narrowed(self) -> bool:
        """Whether anything but the state and the order is asked for."""
        return self._replace(state="", sort="", after="") != Filters("", "")


class Done(NamedTuple):
    """What a form has changed, as the address of the list says it: how many violations, and to which state."""

    changed: int
    state: State

    @classmethod
    def told(cls, query: Mapping[str, str]) -> Done | None:
        """What an address says; None when it says nothing, or what no form can have done."""
        changed, state = query.get("changed", ""), query.get("to", "")
        if not (changed.isascii() and changed.isdecimal() and len(changed) <= len(str(PAGE)) and state in tuple(State)):
            return None
        return cls(min(int(changed), PAGE), State(state))


def list_context(
    *, viewer: User, filters: Filters, page: ViolationPage, projects: Sequence[str], done: Done | None, now: int
) -> dict[str, Any]:
    """Everything that ``csp.html`` says."""
    known = sorted({row.effective_directive for row in page.results if row.effective_directive})
    return {
        "viewer": viewer,
        "filters": filters,
        "states": [Link(label, filters.href(state=state), filters.state == state) for state, label in STATES],
        "sorts": SORTS,
        "noises": NOISES,
        "seens": SEEN,
        "projects": projects,
        "directives": known,
        "rows": [violation_row(row, now=now) for row in page.results],
        "count": page.count,
        "next": filters.href(after=page.next) if page.next else None,
        "first": filters.href() if filters.after else None,
        "action": filters.href(after=filters.after),
        "may_change": viewer.role is Role.OWNER,
        "decisions": [(state.value, label) for state, label in DECISIONS.items() if state.value != filters.state],
        "done": done,
        "unfiltered": Filters(state="all", noise=Noise.INCLUDE.value).href(),
    }


def detail_context(*, viewer: User, period: Period, found: ViolationDetail, now: int) -> dict[str, Any]:
    """Everything that ``violation.html`` says."""
    row = violation_row(found.violation, now=now)
    ranges = [Link(each.label, f"?range={each.label}#reports", each is period) for each in Period]
    return {
        "viewer": viewer,
        "row": row,
        "period": period.words,
        "ranges": ranges,
        "chart": stacked(_steps(found.series), KINDS, KIND_WORDS),
        "points": _points(found.series, now=now),
        "samples": [_sample(sample, now=now) for sample in found.samples],
        "facets": [
            _facets(title, label, facets, now=now)
            for title, label, facets in (
                ("Documents", "Document", found.documents),
                ("Browsers", "Browser", found.browsers),
                ("Blocked paths", "Path", found.paths),
            )
            if facets
        ],
        "policies": [
            {"text": each.text, "hash": each.hash, "count": each.count, "last_seen": _moment(each.last_seen, now)}
            for each in found.policies
        ],
        "rule_href": _rule_href(found.violation),
        "changes": [_change(change, now=now) for change in found.history],
        "decisions": [(state.value, label) for state, label in DECISIONS.items() if state is not found.violation.state],
    }


def _rule_href(found: Violation) -> str | None:
    """Where the form for an ignore rule is filled for all like this one; None when a rule could not name what is blocked."""
    if found.blocked_kind == "opaque":
        return None
    own = found.blocked_kind == "origin" and found.blocked_origin == found.document_origin
    blocked = "local" if own else found.blocked_origin or found.blocked_kind
    given = {"project": found.project, "directive": found.effective_directive or "", "blocked": blocked}
    return f"/csp/ignore-rules?{urlencode(given)}#add"


def _steps(series: Series) -> list[Step]:
    def counted(counts: Counts) -> tuple[int, ...]:
        return counts.enforce, counts.report, counts.unknown

    label = partial(units.bucket, step_seconds=series.step_seconds)
    return [Step(label(milliseconds(point.at)), counted(point.counts)) for point in series.points]


def _points(series: Series, *, now: int) -> list[dict[str, Any]]:
    """The steps that saw something, newest first."""
    seen = [point for point in reversed(series.points) if point.count]
    return [{"at": _moment(point.at, now), "count": point.count, "counts": point.counts} for point in seen]


def _sample(sample: ViolationSample, *, now: int) -> dict[str, Any]:
    place = ":".join(str(part) for part in (sample.line_number, sample.column_number) if part is not None)
    source = f"{sample.source_file or ''}{f':{place}' if place else ''}".removeprefix(":")
    rows = (
        ("Document", sample.document_uri),
        ("Blocked", sample.blocked_uri),
        ("Source", source),
        ("Script", sample.script_sample),
        ("Referrer", sample.referrer),
        ("Status", sample.status_code),
        ("Browser", sample.user_agent),
        ("Policy", sample.policy),
    )
    return {
        "seen_at": _moment(sample.seen_at, now),
        "disposition": sample.disposition or "not said",
        "rows": [(label, str(value)) for label, value in rows if value],
    }


def _facets(title: str, label: str, facets: Sequence[ViolationFacet], *, now: int) -> dict[str, Any]:
    most = max(facet.count for facet in facets) or 1
    rows = [
        {
            "value": facet.value or "all others",
            "named": bool(facet.value),
            "count": facet.count,
            "share": f"{100 * facet.count / most:.1f}",
            "last_seen": _moment(facet.last_seen, now),
        }
        for facet in facets
    ]
    return {"title": title, "label": label, "rows": rows}


def _change(change: StateChange, *, now: int) -> dict[str, Any]:
    words = {"rule": "an ignore rule", "report": "a report under a new policy"}
    return {
        "at": _moment(change.at, now),
        "by": words.get(change.by, change.by),
        "old": change.old_state.value,
        "new": change.new_state.value,
        "note": change.note,
    }


def _moment(when: datetime, now: int) -> units.Moment:
    return units.moment(milliseconds(when), now=now)
