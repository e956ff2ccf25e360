"""A policy tried on what was reported: what it would block, what it would allow, and what nobody can know. Pure.

A report exists only because some policy blocked something. What every policy of the time allowed was never reported, so
about that a replay says that it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from collector.normalize.drafts import ROLLED
from collector.normalize.sources import FALLBACKS, REST, Policy, Source, governing, judged, policies
from collector.normalize.uris import KEYWORDS
from collector.wire.evidence import Evidence
from collector.wire.policy import Grounds, Replay, Replayed, Unseen, Verdict

SHOWN = 10  # documents, browsers and violations of one evidence
MAX_UNSEEN = 200
NEWEST = 5  # policies of one violation that are asked whether they allow it
POLICIES = 10  # of the time that are compared: those that allow the least, which are those that most was reported under

_REDIRECT = "the policy it was seen under allows this address: most likely it leads to another one, which no report names"
_HANGS = "it hangs on what no report says: a nonce, a hash, the rest of a path, or what was blocked at all"


def replay(project: str, policy: str, observed: Iterable[Evidence], *, cut: bool = False) -> Replay:
    """What ``policy`` does with everything in ``observed``, the most reported first, and what it might do unseen.

    ``cut`` says that there were more violations.
    """
    results: dict[tuple[str | None, str, Verdict, str], list[Evidence]] = {}
    texts: dict[str, None] = {}
    for one in observed:
        texts.update((policy.text, None) for policy in one.policies if policy.text)
        verdict, detail = _replayed(policy, one)
        results.setdefault((one.effective_directive, blocked(one), verdict, detail), []).append(one)
    found = [Replayed(*key, grounds(ones)) for key, ones in results.items()]
    unseen = list(_unseen(policy, list(texts)))
    return Replay(
        project=project,
        policy=policy,
        complete=bool(texts) and not unseen and not cut and all(one.blocked != "overflow" for one in found),
        results=sorted(found, key=lambda each: -each.evidence.reports),
        unseen=unseen[:MAX_UNSEEN],
    )


def _replayed(policy: str, one: Evidence) -> tuple[Verdict, str]:
    if was_allowed(one):
        return Verdict.UNKNOWN, _REDIRECT
    verdict = verdict_on(policy, one)
    return verdict, _HANGS if verdict is Verdict.UNKNOWN else ""


def verdict_on(policy: str, one: Evidence) -> Verdict:
    """What ``policy`` does with the violation; where addresses under one origin differ, or may, it is unknown."""
    what = one.blocked_origin or (one.blocked_kind if one.blocked_kind in KEYWORDS else None)
    verdict = judged(policy, one.effective_directive, what, one.document_origin)
    if verdict is not Verdict.UNKNOWN or not one.paths:
        return verdict
    verdicts = {judged(policy, one.effective_directive, address, one.document_origin) for address in _addresses(one)}
    return verdicts.pop() if len(verdicts) == 1 else Verdict.UNKNOWN


def was_allowed(one: Evidence) -> bool:
    """Whether one of the last policies that it was seen under allows every address of it. For code that says nothing."""
    return one.blocked_kind == "origin" and any(
        all(
            judged(policy.text, one.effective_directive, address, one.document_origin) is Verdict.ALLOWED
            for address in _addresses(one)
        )
        for policy in one.policies[:NEWEST]
    )


def _addresses(one: Evidence) -> Iterator[str | None]:
    """The blocked addresses of one origin; the origin alone stands for those whose paths are not known."""
    if not one.paths:
        yield one.blocked_origin
    for path in one.paths:
        below = REST if path.value.endswith("/") else ""
        yield f"{one.blocked_origin}{path.value}{below}" if path.value else one.blocked_origin


def blocked(one: Evidence) -> str:
    """What was blocked, in one word: an origin, a scheme, or a keyword."""
    return one.blocked_origin or one.blocked_kind


def grounds(ones: Sequence[Evidence]) -> Grounds:
    """What speaks for something that all of ``ones``, at least one, are about."""
    return Grounds(
        reports=sum(one.count for one in ones),
        clients=max(one.clients for one in ones),
        days=max(one.days for one in ones),
        first_seen=_time(min(one.first_seen for one in ones)),
        last_seen=_time(max(one.last_seen for one in ones)),
        documents=_shown(facet.value for one in ones for facet in one.documents),
        browsers=_shown(facet.value for one in ones for facet in one.browsers),
        violations=_shown(one.id for one in ones),
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def _shown(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, values)))[:SHOWN]


def _unseen(policy: str, seen_under: Sequence[str]) -> Iterator[Unseen]:
    """What all policies of ``seen_under`` allow and ``policy`` does not."""
    replayed = policies(policy)
    sparing = sorted(
        seen_under, key=lambda text: (sum(len(_listed(one, name)) for one in policies(text) for name in FALLBACKS), text)
    )
    others = [one for text in sparing[:POLICIES] for one in policies(text)]
    if not others:
        return
    for directive in FALLBACKS:
        if directive in ROLLED or directive in _STANDING_IN:
            continue
        for text in dict.fromkeys(text for one in others for text in _listed(one, directive)):
            wide = all(_covers(one, directive, text) for one in others)
            if wide and not all(_covers(one, directive, text) for one in replayed):
                yield Unseen(directive, text)


def _listed(policy: Policy, directive: str) -> list[str]:
    """The sources by which ``policy`` allows something for ``directive``; without a list that is everything."""
    name = governing(policy, directive)
    if name is None:
        return ["*"]
    return [each.text for each in policy[name] if each.kind in ("any", "scheme", "host") or each.text in _ALLOWING]


_STANDING_IN = ("default-src", "prefetch-src", "child-src", "fenced-frame-src")  # for those that the loop looks at anyway
_ALLOWING = ("'self'", "'unsafe-inline'", "'unsafe-eval'", "'wasm-unsafe-eval'", "'strict-dynamic'")
_SITE = "https://site.invalid"  # stands for the document, which is the same on both sides


def _covers(policy: Policy, directive: str, text: str) -> bool:
    """Whether ``policy`` allows all that the source ``text`` allows for ``directive``."""
    name = governing(policy, directive)
    if name is None:
        return True
    listed: tuple[Source, ...] = policy[name]
    if any(each.text.lower() == text.lower() for each in listed):
        return True
    if text.startswith("'") or text == "*":
        return text == "'self'" and any(each.kind == "any" for each in listed)
    example = text.replace("*.", "any.", 1).replace(":*", "", 1)
    example = example if "://" in example or text.endswith(":") else f"https://{example}"
    return any(judged(f"img-src {each.text}", "img-src", example, _SITE) is Verdict.ALLOWED for each in listed)
