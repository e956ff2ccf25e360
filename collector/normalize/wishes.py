"""Which source expression would allow a violation, or why none should. Pure.

A source is made of the parsed origin, scheme or path of what was blocked, never of a report's text.
"""

from __future__ import annotations

from urllib.parse import quote

from collector.normalize.drafts import ROLLED, SOURCE
from collector.normalize.replay import verdict_on, was_allowed
from collector.normalize.sources import FALLBACKS, governing, judged, policies, source
from collector.wire.evidence import Evidence
from collector.wire.policy import AdviceQuery, Allow, Reason, Verdict

CODE = frozenset({"script-src", "object-src", "worker-src", "base-uri", "default-src"})  # lists that code comes from
SCHEMES = frozenset({"data:", "blob:", "mediastream:", "filesystem:"})  # all others are an app's, or any host's
_KEYWORDS = {"inline": "'unsafe-inline'", "eval": "'unsafe-eval'", "wasm-eval": "'wasm-unsafe-eval'"}

Refusal = tuple[Reason, str]


def wanted(query: AdviceQuery, base: str, one: Evidence) -> list[str] | Refusal | None:
    """The sources that would allow it, why there are none, or None when ``base`` allows it already."""
    if one.state == "ignored":
        return Reason.IGNORED, "it was decided to ignore it"
    if was_allowed(one):
        return Reason.POLICY_ALLOWS, "a policy it was seen under lists it; most likely it redirects to an address not reported"
    if verdict_on(base, one) is Verdict.ALLOWED:
        return None
    return _nameless(one) or (_wanted_code if one.blocked_kind in _KEYWORDS else _wanted_source)(query, base, one)


def _wanted_source(query: AdviceQuery, base: str, one: Evidence) -> list[str] | Refusal:
    if _has(base, one, "'strict-dynamic'"):
        return Reason.STRICT_DYNAMIC, "beside 'strict-dynamic' hosts mean nothing: give the script a nonce, or load it from one"
    if one.blocked_kind == "scheme":
        return _wanted_scheme(query, one, one.blocked_origin or "")
    return _wanted_addresses(query, one, one.blocked_origin or "")


def _nameless(one: Evidence) -> Refusal | None:
    """Why no source could be named, whatever the policy."""
    if one.effective_directive is None or one.blocked_kind == "local" or one.effective_directive == "default-src":
        return Reason.UNNAMED, "the browser did not say what was blocked, or by which directive"
    if one.effective_directive not in FALLBACKS or one.effective_directive == "prefetch-src":
        return Reason.NO_SOURCE, f"{one.effective_directive} cannot be mended by a source"
    if one.blocked_kind not in _KEYWORDS and one.blocked_origin is None:
        return Reason.NO_SOURCE, "no source expression fits what was blocked"
    return None


def _wanted_code(query: AdviceQuery, base: str, one: Evidence) -> list[str] | Refusal:
    place = f" at {one.place}" if one.place else ""
    if one.blocked_kind != "inline":
        if Allow.EVAL in query.allow:
            return [_KEYWORDS[one.blocked_kind]]
        return Reason.EVAL, f"code made of text{place}: rewrite it, or ask for {_KEYWORDS[one.blocked_kind]} with allow=eval"
    if one.effective_directive is not None and one.effective_directive.endswith("-attr"):
        advised = "move it out of the attribute"
    else:
        advised = "give it a nonce or a hash, or move it to a file"
    if _has(base, one, "'strict-dynamic'", "nonce", "hash"):
        return Reason.INLINE, f"inline code{place}: {advised}; beside a nonce or a hash 'unsafe-inline' means nothing"
    if Allow.INLINE in query.allow:
        return [_KEYWORDS["inline"]]
    return Reason.INLINE, f"inline code{place}: {advised}, or ask for 'unsafe-inline' with allow=inline"


def _wanted_scheme(query: AdviceQuery, one: Evidence, scheme: str) -> list[str] | Refusal:
    if scheme not in SCHEMES:
        return Reason.NO_SOURCE, f"{scheme} is an app's own scheme, or stands for every host"
    if scheme == "data:" and rolled(one) in CODE and Allow.DATA not in query.allow:
        return Reason.DATA, "data: lets any injected text run as code here; ask for it with allow=data"
    return [scheme]


def _wanted_addresses(query: AdviceQuery, one: Evidence, origin: str) -> list[str] | Refusal:
    directive = rolled(one)
    if judged(f"{directive} 'self'", directive, origin, one.document_origin) is Verdict.ALLOWED:
        return ["'self'"]
    if source(origin).kind != "host" or not SOURCE.fullmatch(origin):
        return Reason.NO_SOURCE, "no source expression can name this host"
    if not query.paths:
        return [origin]
    paths = [_with_path(origin, facet.value) for facet in one.paths]
    return paths if paths and origin not in paths else [origin]


def _with_path(origin: str, path: str) -> str:
    """A source with that path, what would end a source or a directive percent-encoded, up to what is masked in it."""
    kept = path.partition("{")[0]
    if kept != path:
        kept = kept[: kept.rfind("/") + 1]
    return origin + quote(kept, safe="/%:@!$&'()*+=~-._") if kept != "/" else origin


def _has(base: str, one: Evidence, *words: str) -> bool:
    """Whether the list of ``base`` that decides about ``one`` holds one of these keywords or kinds of source."""
    if not rolled(one).startswith(("script-", "style-", "worker-")):
        return False
    for policy in policies(base):
        name = governing(policy, one.effective_directive or "", one.blocked_kind)
        if name and any(each.kind in words or each.text in words for each in policy[name]):
            return True
    return False


def rolled(one: Evidence) -> str:
    """The directive that a suggestion names for it, which covers all kinds of element."""
    directive = "script-src" if one.blocked_kind in ("eval", "wasm-eval") else one.effective_directive or ""
    return ROLLED.get(directive, directive)
