"""What the pages about policies say: pure functions, no request and no clock of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from collector.normalize.sources import policies
from collector.pages import units
from collector.pages.csp_view import SEEN
from collector.pages.view import milliseconds
from collector.wire.evidence import Evidence
from collector.wire.policy import AdviceQuery, Allow, Grounds, PolicyAdvice, Replay, Verdict

BASES = {
    "given": "the policy you gave",
    "reported": "the policy most was reported under",
    "starter": "the starter policy, since none was reported",
}
VERDICTS = {
    Verdict.BLOCKED: ("enforce", "blocked"),
    Verdict.UNKNOWN: ("noise", "unknown"),
    Verdict.ALLOWED: ("good", "allowed"),
}
ALLOWS = {
    Allow.INLINE: "inline code",
    Allow.EVAL: "eval",
    Allow.DATA: "data: where code comes from",
    Allow.WILDCARDS: "wildcards",
}
ROWS = 200  # of one table; the API has all


class Piece(NamedTuple):
    """A source of a directive, and whether it is new, gone or as it was."""

    text: str
    change: str  # "added", "removed" or ""


class Line(NamedTuple):
    """A directive of a diff."""

    directive: str
    change: str
    pieces: list[Piece]


def diff(base: str, policy: str) -> list[Line]:
    """What ``policy`` has that ``base`` has not, and the other way round, by directive: those of ``policy`` first."""
    before, after = _directives(base), _directives(policy)
    lines = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        change = "added" if old is None else "removed" if new is None else ""
        kept = [Piece(text, "" if text in (old or ()) else "added") for text in new or ()]
        gone = [Piece(text, "removed") for text in old or () if text not in (new or ())]
        lines.append(Line(name, change, [*kept, *gone]))
    return lines


def advice_context(
    advice: PolicyAdvice, query: AdviceQuery, observed: Sequence[Evidence], *, seen: str, now: int
) -> dict[str, Any]:
    """Everything that ``policy.html`` says of advice. ``seen`` is the choice of how long ago it was last seen."""
    return {
        "advice": advice,
        "project": advice.project,
        "thresholds": (("reports", query.reports), ("clients", query.clients), ("days", query.days)),
        "seens": SEEN,
        "seen": seen,
        "allows": [(choice.value, label, choice in query.allow) for choice, label in ALLOWS.items()],
        "paths": query.paths,
        "given": query.policy or "",
        "observed": len(observed),
        "base_from": BASES.get(advice.base_from, advice.base_from),
        "diff": diff(advice.base, advice.policy),
        "added": [
            {"directive": each.directive, "source": each.source, "warnings": each.warnings, **_grounds(each.evidence, now=now)}
            for each in advice.added[:ROWS]
        ],
        "left": [
            {"directive": each.directive, "source": each.blocked, "detail": each.detail, **_grounds(each.evidence, now=now)}
            for each in advice.left[:ROWS]
        ],
    }


def replay_context(found: Replay, *, now: int) -> dict[str, Any]:
    """Everything that ``replay.html`` says."""
    order = list(VERDICTS)
    counts, reports = Counter(each.verdict for each in found.results), Counter[Verdict]()
    for each in found.results:
        reports[each.verdict] += each.evidence.reports
    return {
        "project": found.project,
        "policy": found.policy,
        "complete": found.complete,
        "tallies": [(label, kind, counts[verdict], reports[verdict]) for verdict, (kind, label) in VERDICTS.items()],
        "results": [
            {
                "directive": each.directive or "unknown",
                "source": each.blocked,
                "kind": VERDICTS[each.verdict][0],
                "verdict": VERDICTS[each.verdict][1],
                "detail": each.detail,
                **_grounds(each.evidence, now=now),
            }
            for each in sorted(found.results, key=lambda each: (order.index(each.verdict), -each.evidence.reports))[:ROWS]
        ],
        "unseen": found.unseen,
    }


def _directives(policy: str) -> dict[str, list[str]]:
    """The directives of the first policy of a list, in order; an empty one when there is none."""
    parsed = policies(policy)
    return {name: [source.text for source in sources] for name, sources in parsed[0].items()} if parsed else {}


def _grounds(grounds: Grounds, *, now: int) -> dict[str, Any]:
    return {
        "reports": grounds.reports,
        "clients": grounds.clients,
        "days": grounds.days,
        "last_seen": units.moment(milliseconds(grounds.last_seen), now=now),
        "documents": grounds.documents[:3],
        "violation": grounds.violations[0] if grounds.violations else None,
    }
