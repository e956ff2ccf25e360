"""The way to a policy that trusts scripts by nonce or hash and not by host: what it asks of a site. Pure.

Allow-lists of hosts are got round on most sites that have one (https://research.google/pubs/pub45542/). The strict policy is
the one of https://web.dev/articles/strict-csp: browsers that know 'strict-dynamic' ignore its last two sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from collector.normalize.bypasses import known_bypass
from collector.normalize.replay import grounds
from collector.normalize.sources import governing, policies, source
from collector.wire.evidence import Evidence
from collector.wire.policy import Bypass, Need, StrictReport
from collector.wire.scripts import StoredScript

STRICT = "script-src 'nonce-{nonce}' 'strict-dynamic' https: 'unsafe-inline'; object-src 'none'; base-uri 'none'"

_ADVICE = {
    "inline-script": "give the element a nonce; where the page is static, list the hash of its text",
    "event-handler": "move it to a script and addEventListener: an attribute has no nonce",
    "external-script": "give the element a nonce, or let a script that has one load it",
    "eval": "rewrite it, or keep 'unsafe-eval': strict-dynamic says nothing about code made of text",
}
_SCRIPTS = ("script-src", "script-src-elem", "script-src-attr", "worker-src", "default-src")


def strict_report(project: str, base: str, observed: Iterable[Evidence], scripts: Sequence[StoredScript] = ()) -> StrictReport:
    """What ``STRICT`` would need on a site where ``observed`` was reported, and which hosts of ``base`` let others through.

    ``scripts`` are those that ``csp-hash`` reports named: their hashes can stand in the policy in place of nonces.
    """
    needs: dict[tuple[str, str], list[Evidence]] = {}
    for one in observed:
        if what := _need(one):
            needs.setdefault((what, one.place or one.blocked_origin or _page(one)), []).append(one)
    found = [Need(what, where, _ADVICE[what], grounds(ones)) for (what, where), ones in needs.items()]
    hosts = [where for what, where in needs if what == "external-script"]
    return StrictReport(
        project=project,
        policy=STRICT,
        needs=sorted(found, key=lambda need: -need.evidence.reports),
        bypasses=list(_bypasses(base, hosts)),
        scripts=list(scripts),
    )


def _need(one: Evidence) -> str | None:
    if one.effective_directive not in _SCRIPTS:
        return None
    if one.blocked_kind == "inline":
        return "event-handler" if one.effective_directive == "script-src-attr" else "inline-script"
    if one.blocked_kind in ("eval", "wasm-eval"):
        return "eval"
    return "external-script" if one.blocked_kind == "origin" and one.effective_directive != "worker-src" else None


def _page(one: Evidence) -> str:
    return one.documents[0].value if one.documents else ""


def _bypasses(base: str, hosts: Iterable[str]) -> Iterator[Bypass]:
    """The sources of ``base`` for scripts, and the ``hosts`` that one would add to them, that are on the list."""
    listed = [
        each.text
        for policy in policies(base)
        if (name := governing(policy, "script-src-elem"))
        for each in policy[name]
        if each.kind == "host"
    ]
    for text in dict.fromkeys([*listed, *hosts]):
        if known := known_bypass(source(text).host):
            yield Bypass(text, *known)
