"""Which sources a policy lacks for what a site really loads, and what it had better go on blocking. Pure.

Reports are written by whoever wants to. So a source is listed only when it was seen often enough, by enough clients, on
enough days; it is made of parsed parts, never of a report's text; and what opens a policy to any code is listed only for
those who ask for it by name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from collector.normalize.bypasses import known_bypass
from collector.normalize.drafts import Draft
from collector.normalize.headers import KITS
from collector.normalize.replay import blocked, grounds, verdict_on
from collector.normalize.sources import policies, source
from collector.normalize.wishes import CODE, Refusal, rolled, wanted
from collector.wire.evidence import Evidence
from collector.wire.policy import Added, AdviceQuery, Allow, Kit, Left, PolicyAdvice, Reason, Verdict

WILDCARD_FROM = 4  # hosts of one domain that one wildcard may stand for

_SUFFIX = re.compile(r"[a-z]{1,3}\.[a-z]{2}")  # co.uk, com.br: where names are sold, not a domain of somebody's
_OPEN = ("https:", "http:", "data:", "'unsafe-inline'", "'unsafe-eval'")

Wish = tuple[str, str]  # directive, for all kinds of element; source


def advised(query: AdviceQuery, observed: Sequence[Evidence], *, cut: bool = False) -> PolicyAdvice:
    """The advice that ``query`` asks for: on the policy it gives, else on the newest that enough reports came with.

    ``cut`` says that there were more violations than are in ``observed``.
    """
    reported = None if query.policy else reported_policy(observed, query.reports)
    if query.policy:
        found = advice(query, query.policy, "given", observed)
    elif reported:
        found = advice(query, reported, "reported", observed)
    else:
        found = advice(query, KITS[Kit.STARTER], "starter", observed)
    if cut:
        found.warnings.append(f"only the {len(observed)} violations with the most reports were looked at")
    return found


def reported_policy(observed: Iterable[Evidence], reports: int) -> str | None:
    """The policy that turned up last of those that at least ``reports`` reports came with: one report can say anything."""
    counts: Counter[str] = Counter()
    since: dict[str, int] = {}
    for one in observed:
        for policy in one.policies:
            if policy.text:
                counts[policy.text] += policy.count
                since[policy.text] = min(policy.first_seen, since.get(policy.text, policy.first_seen))
    return max((text for text in counts if counts[text] >= reports), key=lambda text: (since[text], text), default=None)


def advice(query: AdviceQuery, base: str, base_from: str, observed: Iterable[Evidence]) -> PolicyAdvice:
    """A policy that begins with ``base`` and lists what of ``observed`` passes the thresholds of ``query``.

    ``observed`` holds no noise. ``left`` is everything in it that the suggested policy still blocks, or may.
    """
    wishes: dict[Wish, list[Evidence]] = defaultdict(list)
    refused: dict[tuple[str | None, str, Refusal], list[Evidence]] = defaultdict(list)
    already = 0
    for one in observed:
        found = wanted(query, base, one)
        if found is None:
            already += 1
        elif isinstance(found, list):
            for text in found:
                wishes[rolled(one), text].append(one)
        else:
            refused[one.effective_directive, blocked(one), found].append(one)
    drafts = [Draft(policy) for policy in policies(base)]
    added = [change for wish, ones in _widened(query, wishes).items() if (change := _added(drafts, wish, ones))]
    text = ", ".join(draft.text for draft in drafts)
    for (_, what), ones in wishes.items():
        passes = _passes(query, ones)
        for one in ones:
            if refusal := _still_blocked(query, text, what, one, passes=passes):
                refused[one.effective_directive, blocked(one), refusal].append(one)
    left = [Left(directive, what, *refusal, grounds(ones)) for (directive, what, refusal), ones in refused.items()]
    return PolicyAdvice(
        project=query.project,
        base=base,
        base_from=base_from,
        policy=text,
        added=added,
        left=sorted(left, key=lambda each: -each.evidence.reports),
        already_allowed=already,
        warnings=_warnings(base_from, text, drafts),
    )


def _passes(query: AdviceQuery, ones: Sequence[Evidence]) -> bool:
    """Whether there is enough evidence."""
    return (
        sum(one.count for one in ones) >= query.reports
        and max(one.clients for one in ones) >= query.clients
        and max(one.days for one in ones) >= query.days
    )


def _widened(query: AdviceQuery, wishes: dict[Wish, list[Evidence]]) -> dict[Wish, list[Evidence]]:
    """The wishes that pass; on request with one wildcard in place of many hosts of a domain."""
    passing = {wish: ones for wish, ones in wishes.items() if _passes(query, ones)}
    if Allow.WILDCARDS not in query.allow:
        return passing
    families: dict[Wish, list[Wish]] = defaultdict(list)
    for directive, text in passing:
        parent = _parent(text)
        if parent:
            families[directive, parent].append((directive, text))
    for wide, narrow in families.items():
        if len(narrow) >= WILDCARD_FROM:
            passing[wide] = [one for wish in narrow for one in passing.pop(wish)]
    return passing


def _parent(text: str) -> str | None:
    """``https://*.shop.example`` for ``https://eu.shop.example``; never a name of one label, and no shared domain."""
    one = source(text)
    parent = one.host.partition(".")[2]
    if one.kind != "host" or one.path or "." not in parent or one.host.replace(".", "").isdigit():
        return None
    if known_bypass(parent) or _SUFFIX.fullmatch(parent):
        return None
    return f"{one.scheme}://*.{parent}" + (f":{one.port}" if one.port else "")


def _added(drafts: Sequence[Draft], wish: Wish, ones: Sequence[Evidence]) -> Added | None:
    directive, text = wish
    targets = {
        target
        for draft in drafts
        for one in ones
        if verdict_on(draft.text, one) is not Verdict.ALLOWED
        and (target := draft.add(one.effective_directive or "", text, one.blocked_kind))
    }
    if not targets:
        return None
    return Added(min(targets), text, grounds(ones), list(_source_warnings(directive, text)))


def _still_blocked(query: AdviceQuery, text: str, what: str, one: Evidence, *, passes: bool) -> Refusal | None:
    """Why the suggested policy ``text`` does not allow ``one``, for which the source ``what`` was wanted."""
    verdict = verdict_on(text, one)
    if verdict is Verdict.ALLOWED:
        return None
    if passes:
        return Reason.NO_SOURCE, f"whether {what} allows it hangs on what no report says"
    return Reason.BELOW_THRESHOLD, f"fewer than {query.reports} reports, {query.clients} clients or {query.days} days"


def _source_warnings(directive: str, text: str) -> Iterable[str]:
    one = source(text)
    if text in ("'unsafe-inline'", "'unsafe-eval'"):
        yield f"{text} lets injected code run: a policy with it protects little"
    if text in ("data:", "blob:", "filesystem:") and directive in CODE:
        yield f"{text} lets a page make the code that it then loads"
    if text == "data:" and directive not in CODE:
        yield "data: comes with the page itself: nothing tells who put it there"
    if one.kind == "host" and one.host.startswith("*"):
        yield "a wildcard allows hosts that nobody has looked at"
    if one.scheme == "http":
        yield "plain http: whoever is on the way can change what is loaded"
    if directive in ("base-uri", "form-action") and one.kind == "host":
        yield f"{directive} to another origin: make sure that it is yours"
    if directive in CODE and one.kind == "host" and (known := known_bypass(one.host)):
        yield f"{known[0]} {known[1]}"


def _warnings(base_from: str, text: str, drafts: Sequence[Draft]) -> list[str]:
    """What to know about the suggested policy as a whole."""
    warnings = []
    if base_from == "reported":
        warnings.append("the base was taken from reports: compare it with what your server sends, and put its nonces back")
    if base_from == "starter":
        warnings.append("no report came with a policy: the base is the starter policy")
    warnings += [
        f"{name} lists {each.text}, which lets nearly any code run"
        for draft in drafts
        for name in ("script-src", "script-src-elem", "default-src", "object-src")
        if "'strict-dynamic'" not in {each.text for each in draft.policy.get(name, ())}
        for each in draft.policy.get(name, ())
        if each.kind == "any" or each.text.lower() in _OPEN
    ]
    if text and not any({"script-src", "default-src"} & draft.policy.keys() for draft in drafts):
        warnings.append("the policy has neither script-src nor default-src: it restricts no script")
    return warnings
