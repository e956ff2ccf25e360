"""Policies read as browsers read them, and what their source lists say about something that a page asks for.

After CSP3, "Matching Algorithms" (https://w3c.github.io/webappsec-csp/#matching-algorithms). Where the answer hangs on what
no report tells, or where browsers are known to differ from the text, the verdict is ``UNKNOWN``. Never raises.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import msgspec

from collector.normalize.masking import EMAIL, TOKEN, UUID
from collector.normalize.policy import LONGEST
from collector.normalize.uris import DEFAULT_PORTS, Uri, uri
from collector.normalize.uris import LONGEST as URI_LONGEST
from collector.wire.policy import Verdict

# The directives whose value is a list of sources, each with those that stand in for it when a policy lacks it
# (https://w3c.github.io/webappsec-csp/#directive-fallback-list).
FALLBACKS: Mapping[str, tuple[str, ...]] = {
    "default-src": ("default-src",),
    "script-src": ("script-src", "default-src"),
    "script-src-elem": ("script-src-elem", "script-src", "default-src"),
    "script-src-attr": ("script-src-attr", "script-src", "default-src"),
    "style-src": ("style-src", "default-src"),
    "style-src-elem": ("style-src-elem", "style-src", "default-src"),
    "style-src-attr": ("style-src-attr", "style-src", "default-src"),
    "worker-src": ("worker-src", "child-src", "script-src", "default-src"),
    "fenced-frame-src": ("fenced-frame-src", "frame-src", "child-src", "default-src"),
    "frame-src": ("frame-src", "child-src", "default-src"),
    "child-src": ("child-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "font-src": ("font-src", "default-src"),
    "img-src": ("img-src", "default-src"),
    "manifest-src": ("manifest-src", "default-src"),
    "media-src": ("media-src", "default-src"),
    "object-src": ("object-src", "default-src"),
    "prefetch-src": ("prefetch-src", "default-src"),
    "base-uri": ("base-uri",),
    "form-action": ("form-action",),
}
_CODE = frozenset({"inline", "eval", "wasm-eval"})
_SCRIPTS = frozenset({"script-src", "script-src-elem", "worker-src"})  # what a nonce, a hash or 'strict-dynamic' is about
_STYLES = frozenset({"style-src", "style-src-elem"})
_ATTRIBUTES = frozenset({"script-src-attr", "style-src-attr"})
_INLINE = _SCRIPTS | _STYLES | _ATTRIBUTES | {"default-src"}
_MASKS = (EMAIL, UUID, TOKEN)
_SECURE = {"http": "https", "ws": "wss"}
_AS_FETCHED = {"ws": "http", "wss": "https"}  # https://websockets.spec.whatwg.org/#concept-websocket-establish

_SCHEME_SOURCE = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_HOST_SOURCE = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::([0-9]{1,5}|\*))?(?:(/[^?#]*)(?:[?#].*)?)?",
    re.IGNORECASE,
)
_NONCE = re.compile(r"'nonce-.*'", re.IGNORECASE)
_HASH = re.compile(r"'sha(?:256|384|512)-.*'", re.IGNORECASE)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")

_CACHED_LENGTH = 4096
_CACHED = 64  # of 4096 characters, in words of a few letters: twenty megabytes when somebody means to fill it
_CACHED_SOURCES = 512  # of 8192 characters: four megabytes likewise


class Source(msgspec.Struct, frozen=True, gc=False):
    """One source expression. ``kind`` is any, scheme, host, keyword, nonce, hash, or void for what matches nothing.

    ``text`` is as written, that of keywords in lower case. ``host`` may begin with ``*``; ``port`` is "", a number or ``*``.
    """

    text: str
    kind: str
    scheme: str = ""
    host: str = ""
    port: str = ""
    path: str = ""


Sources = tuple[Source, ...]
Policy = Mapping[str, Sources]  # by directive, in lower case and in the order of the policy


@functools.lru_cache(_CACHED_SOURCES)
def source(text: str) -> Source:
    """The source expression that ``text`` is."""
    if text == "*":
        return Source(text, "any")
    if text.startswith("'"):
        if _NONCE.fullmatch(text):
            return Source(text, "nonce")
        return Source(text, "hash") if _HASH.fullmatch(text) else Source(text.lower(), "keyword")
    if found := _SCHEME_SOURCE.fullmatch(text):
        return Source(text, "scheme", scheme=found[1].lower())
    if found := _HOST_SOURCE.fullmatch(text):
        scheme, host, port, path = found.groups(default="")
        return Source(text, "host", scheme.lower(), host.lower(), port, path)
    return Source(text, "void")


def policies(text: str) -> tuple[Policy, ...]:
    """The policies of a header's value, several when commas part them; of equal directives the first counts."""
    return _cached(text) if len(text) <= _CACHED_LENGTH else _read(text)


def _read(text: str) -> tuple[Policy, ...]:
    return tuple(found for part in text.split(",") if (found := _policy(part)))


def _policy(text: str) -> Policy:
    directives: dict[str, Sources] = {}
    for part in text.split(";"):
        words = part.split()
        if words and part.isascii():
            directives.setdefault(words[0].lower(), tuple(map(source, words[1:])))
    return directives


_cached = functools.lru_cache(_CACHED)(_read)


def allows(policy: str | None, directive: str | None, blocked: str | None, document_origin: str | None) -> bool:
    """Whether ``policy`` certainly allows what a report calls blocked; the arguments are those of :func:`judged`."""
    return judged(policy, directive, blocked, document_origin) is Verdict.ALLOWED


def judged(policy: str | None, directive: str | None, blocked: str | None, document_origin: str | None) -> Verdict:
    """What ``policy`` does with ``blocked`` under the effective ``directive`` on a page of ``document_origin``.

    ``blocked`` is a blocked URI, as sent or as stored: a URL, an origin whose path is not known, a scheme, or a keyword.
    Of several policies all must allow it. A policy of ``policy.LONGEST`` characters was cut, and says nothing for certain.
    """
    if policy is None or directive is None or len(policy) >= LONGEST:
        return Verdict.UNKNOWN
    at, document = uri(blocked), uri(document_origin)
    verdicts = {_judged(one, directive, at, document) for one in policies(policy)}
    return next((v for v in (Verdict.BLOCKED, Verdict.UNKNOWN) if v in verdicts), Verdict.ALLOWED)


def governing(policy: Policy, directive: str, blocked_kind: str = "") -> str | None:
    """The directive of ``policy`` that decides about ``directive``, by the chain of fallbacks; None: nothing does."""
    if blocked_kind in ("eval", "wasm-eval"):
        directive = "script-src"  # code from text is no element
    return next((name for name in FALLBACKS.get(directive, (directive,)) if name in policy), None)


def _judged(policy: Policy, directive: str, at: Uri, document: Uri) -> Verdict:
    name = governing(policy, directive, at.kind)
    if name is None:
        # Browsers before CSP2 name default-src whatever was blocked.
        return Verdict.UNKNOWN if directive == "default-src" else Verdict.ALLOWED
    if directive == "require-trusted-types-for":
        return Verdict.BLOCKED if any(each.text == "'script'" for each in policy[name]) else Verdict.ALLOWED
    if directive not in FALLBACKS:
        return Verdict.UNKNOWN  # no list of sources, or one of which the report names no member
    if at.kind in _CODE:
        return _code(policy[name], directive, at.kind)
    return _loaded(policy[name], directive, at, document)


def _code(sources: Sources, directive: str, kind: str) -> Verdict:
    """Inline code, or code made of text (https://w3c.github.io/webappsec-csp/#match-element-to-source-list)."""
    keywords, kinds = {each.text for each in sources}, {each.kind for each in sources}
    if kind != "inline":
        allowed = "'unsafe-eval'" in keywords or (kind == "wasm-eval" and "'wasm-unsafe-eval'" in keywords)
        return Verdict.ALLOWED if allowed else Verdict.BLOCKED
    if directive not in _INLINE:
        return Verdict.UNKNOWN
    listed = {"nonce", "hash"} & kinds
    strict = "'strict-dynamic'" in keywords and not directive.startswith("style-")
    if not listed and not strict:
        return Verdict.ALLOWED if "'unsafe-inline'" in keywords else Verdict.BLOCKED
    if directive in _ATTRIBUTES:  # an attribute has no nonce, and needs one word more for a hash
        return Verdict.UNKNOWN if "hash" in kinds and "'unsafe-hashes'" in keywords else Verdict.BLOCKED
    return Verdict.UNKNOWN if listed else Verdict.BLOCKED


def _loaded(sources: Sources, directive: str, at: Uri, document: Uri) -> Verdict:
    """Something with a URL (https://w3c.github.io/webappsec-csp/#script-pre-request and match-url-to-source-list)."""
    kinds = {each.kind for each in sources}
    if directive in _SCRIPTS and any(each.text == "'strict-dynamic'" for each in sources):
        return Verdict.UNKNOWN  # what matters is who asked for it
    found = _first(_matches(each, at, document) for each in sources)
    by_element = ("nonce" in kinds and directive in _SCRIPTS | _STYLES) or ("hash" in kinds and directive in _SCRIPTS)
    return Verdict.UNKNOWN if found is Verdict.BLOCKED and by_element else found


def _first(verdicts: Iterable[Verdict]) -> Verdict:
    """What a list says whose members say ``verdicts``: one that allows is enough."""
    found = Verdict.BLOCKED
    for verdict in verdicts:
        if verdict is Verdict.ALLOWED:
            return verdict
        if verdict is Verdict.UNKNOWN:
            found = verdict
    return found


def _matches(one: Source, at: Uri, document: Uri) -> Verdict:
    """Whether one source allows ``at`` (https://w3c.github.io/webappsec-csp/#match-url-to-source-expression)."""
    if one.kind in ("nonce", "hash", "void") or (one.kind == "keyword" and one.text != "'self'"):
        return Verdict.BLOCKED
    if not at.scheme:
        return Verdict.UNKNOWN  # "self", nothing at all, or prose
    if one.kind == "any":
        return Verdict.ALLOWED if at.scheme in DEFAULT_PORTS or at.scheme == document.scheme else Verdict.BLOCKED
    if one.kind == "scheme":
        return _by_scheme(one.scheme, at.scheme)
    if at.kind != "origin":
        return Verdict.UNKNOWN if at.scheme in DEFAULT_PORTS else Verdict.BLOCKED  # a host was there, and was not sent
    return _is_self(at, document) if one.kind == "keyword" else _by_host(one, at, document)


def _by_scheme(listed: str, scheme: str) -> Verdict:
    """A scheme allows itself and its secure sister; a socket is asked for over HTTP, which browsers take two ways."""
    if scheme in (listed, _SECURE.get(listed)):
        return Verdict.ALLOWED
    fetched = _AS_FETCHED.get(scheme)
    return Verdict.UNKNOWN if fetched and fetched in (listed, _SECURE.get(listed)) else Verdict.BLOCKED


def _is_self(at: Uri, document: Uri) -> Verdict:
    if document.kind != "origin":
        return Verdict.UNKNOWN
    if at.origin == document.origin:
        return Verdict.ALLOWED
    default = _port(at) == DEFAULT_PORTS[at.scheme] and _port(document) == DEFAULT_PORTS[document.scheme]
    if at.host != document.host or not (default or _port(at) == _port(document)):
        return Verdict.BLOCKED
    safe = at.scheme in ("https", "wss") or (document.scheme == "http" and at.scheme in ("http", "ws"))
    return Verdict.ALLOWED if safe else Verdict.BLOCKED


def _by_host(one: Source, at: Uri, document: Uri) -> Verdict:
    listed = one.scheme or document.scheme
    scheme = _by_scheme(listed, at.scheme) if listed else Verdict.UNKNOWN
    parts = (scheme, _host(one.host, at.host), _port_matches(one.port, at), _path(one.path, at))
    return next((v for v in (Verdict.BLOCKED, Verdict.UNKNOWN) if v in parts), Verdict.ALLOWED)


def _host(listed: str, host: str) -> Verdict:
    if listed.startswith("*"):
        return Verdict.ALLOWED if host.endswith(listed[1:]) else Verdict.BLOCKED
    if listed != host:
        return Verdict.BLOCKED
    # The text refuses addresses but one, browsers take them.
    return Verdict.UNKNOWN if _IPV4.fullmatch(host) and host != "127.0.0.1" else Verdict.ALLOWED


def _port(at: Uri) -> int:
    port = (at.origin or "").rpartition(":")[2]
    return int(port) if port.isdecimal() else DEFAULT_PORTS[at.scheme]


def _port_matches(listed: str, at: Uri) -> Verdict:
    port, default = _port(at), DEFAULT_PORTS[at.scheme]
    if listed == "*" or port == (int(listed) if listed else default):
        return Verdict.ALLOWED
    upgraded = listed == "80" and port == default == DEFAULT_PORTS["https"]
    return Verdict.UNKNOWN if upgraded else Verdict.BLOCKED  # the text says no, some browsers upgrade the port too


def _path(listed: str, at: Uri) -> Verdict:
    """Whether the path is the listed one or, when that ends in a slash, below it; nothing listed means every path."""
    path = (at.text or "")[len(at.origin or "") :]
    if listed in ("", "/", path):
        return Verdict.ALLOWED
    if not path or len(at.text or "") >= URI_LONGEST:
        return Verdict.UNKNOWN  # browsers tell of frames the origin only
    ours, theirs = listed.split("/"), path.split("/")
    if len(ours) > len(theirs) or (len(ours) < len(theirs) and not listed.endswith("/")):
        return Verdict.BLOCKED
    if listed.endswith("/"):
        ours.pop()
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if unquote(a) != unquote(b)]
    if all(any(mask in b for mask in _MASKS) for _, b in pairs):
        return Verdict.UNKNOWN if pairs else Verdict.ALLOWED
    return Verdict.BLOCKED
