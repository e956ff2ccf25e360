"""A URI of a report, taken apart: what kind it is, its origin, and as much of it as may be stored.

Never raises. What is stored has no userinfo, query or fragment, no control character, and at most ``LONGEST`` characters.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import unicodedata
from urllib.parse import unquote

import idna
import msgspec

from collector.normalize.masking import masked
from collector.normalize.text import clean

LONGEST = 2048
OPAQUE_LONGEST = 128
HOST_LONGEST = 253  # RFC 1035
IDN_LONGEST = 100  # browsers send Punycode; converting a longer name costs a millisecond of everybody's time
_READ = 2 * LONGEST  # what is looked at: masking makes it shorter
_CACHED_LENGTH = 512
_CACHED = 2048  # of 512 characters, raw and clean: two megabytes when somebody means to fill it

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
KEYWORDS = frozenset({"inline", "eval", "wasm-eval", "trusted-types-policy", "trusted-types-sink"})
LOCAL = frozenset({"self", "'self'"})
# Words that stand where a scheme would, and are none.
NOT_A_SCHEME = frozenset({"null", "undefined", "localhost"})

_DOCUMENT_SCHEMES = frozenset({"http", "https"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,63}):(?!\s)")
# CSP has browsers send other schemes without what follows, and URLs in lower case. A dot makes it a host.
_BARE_SCHEME = re.compile(r"[a-z][a-z0-9+-]{1,63}")
_HOST_AND_PORT = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+):\d{1,5}(?:/|$)")
QUERY = re.compile(r"[?#]")
# Stricter than the URL standard: no character that could start another source or directive in a policy.
_HOST = re.compile(r"[a-z0-9_-][a-z0-9_.-]*")


class Uri(msgspec.Struct, frozen=True, gc=False):
    """One URI. ``kind`` is origin, scheme, local, opaque, or the keyword that stands in the URI's place.

    ``origin`` is ``scheme://host[:port]`` for the kind origin and ``scheme:`` for the kind scheme. ``host`` is also set
    for an opaque host without scheme. ``text`` is what may be stored, None when there is nothing.
    """

    kind: str
    text: str | None = None
    scheme: str = ""
    host: str = ""
    origin: str | None = None


NOTHING = Uri("local")


def uri(raw: str | None) -> Uri:
    """What ``raw`` says; nothing at all is the kind local."""
    if not raw:
        return NOTHING
    if len(raw) > _CACHED_LENGTH:
        return _read(raw)
    return _cached(raw)


def document_origin(document: Uri) -> str | None:
    """Whose page it is; None for one that no site serves."""
    return document.origin if document.scheme in _DOCUMENT_SCHEMES and document.host else None


def _read(raw: str) -> Uri:
    text = QUERY.split(clean(raw, _READ, control=""), maxsplit=1)[0].strip()
    lowered = text.lower()
    if not text or lowered in LOCAL:
        return Uri("local", lowered or None)
    if lowered in KEYWORDS:
        return Uri(lowered, lowered)
    if (found := _SCHEME.match(text)) and not _HOST_AND_PORT.match(text):
        scheme = found[1].lower()
        return _web(scheme, text[found.end() :]) if scheme in DEFAULT_PORTS else _scheme_alone(scheme)
    if _BARE_SCHEME.fullmatch(text) and text not in NOT_A_SCHEME:
        return Uri("scheme", text, text, origin=f"{text}:")
    return _opaque(text)


_cached = functools.lru_cache(_CACHED)(_read)


def _scheme_alone(scheme: str) -> Uri:
    """Of any other URL only the scheme is kept: that is what grouping and the noise rules need.

    The rest may hold an installation's id (moz-extension:), a person's folders (file:, jar:) or a document (data:).
    """
    return Uri("scheme", f"{scheme}:", scheme, origin=f"{scheme}:")


def _web(scheme: str, rest: str) -> Uri:
    """A URL of http, https, ws or wss; ``rest`` is what follows the colon."""
    # Browsers read any number of slashes of either kind here (https://url.spec.whatwg.org/#special-authority-slashes-state).
    rest = rest.replace("\\", "/").lstrip("/")
    if not rest:
        return _scheme_alone(scheme)
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority.rpartition("@")[2])
    if host is None or port is None:
        return Uri("opaque", f"{scheme}:")
    origin = f"{scheme}://{host}" if port in (0, DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"
    return Uri("origin", (origin + masked(slash + path))[:LONGEST].rstrip(), scheme, host, origin)


def _opaque(text: str) -> Uri:
    host, _ = _host_and_port(text.removeprefix("//").partition("/")[0])
    return Uri("opaque", masked(text)[:OPAQUE_LONGEST].rstrip(), host=host if host and "." in host else "")


def _host_and_port(authority: str) -> tuple[str | None, int | None]:
    """The host in its canonical form and its port (0: none given); None for what cannot be one."""
    if authority.startswith("["):
        name, _, port = authority.partition("]")
        port = port.removeprefix(":")
        host = _ipv6(name[1:])
    else:
        name, _, port = authority.partition(":")
        host = _name(name)
    if not port:
        return host, 0
    if not (port.isascii() and port.isdecimal() and len(port) <= len("65535")):
        return host, None
    number = int(port)
    return host, number if 0 < number <= 65535 else None  # noqa: PLR2004 (the highest port)


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if address.scope_id else f"[{address.compressed}]"


def _name(text: str) -> str | None:
    if len(text) > HOST_LONGEST:
        return None
    name = (unquote(text, errors="replace") if "%" in text else text).lower()
    if not name.isascii():
        name = _punycode(name) if len(name) <= IDN_LONGEST else ""
    return name if len(name) <= HOST_LONGEST and _HOST.fullmatch(name) else None


def _punycode(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode()
    except (UnicodeError, ValueError, IndexError):
        # Browsers take names that IDNA 2008 refuses, emoji among them.
        labels = unicodedata.normalize("NFKC", name).lower().split(".")
        return ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels)
