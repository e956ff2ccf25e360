"""Reports that are not about CSP: an entry as posted -> the record, of which nothing can name a person or open a session."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from collector.normalize.masking import masked
from collector.normalize.text import clean, squeezed
from collector.normalize.uris import document_origin, uri
from collector.normalize.useragent import browser
from collector.wire.other_reports import CSP_HASH, OTHER_TYPE, OTHER_TYPES, OtherEntry, Value
from collector.wire.records import OtherReport, Script

TEXT_LONGEST = 400
URI_LONGEST = 300
WORD_LONGEST = 64
HIGHEST = 1e15  # of a number: a double counts to here one by one

# A URL within a message or a stack, up to what usually ends one there.
_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{1,30}://|(?:data|blob|javascript|file):)[^\s\"'<>()\[\]]*")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./:-]*")
_HASH = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/_-]{43,86}={0,2}")


def other_report(entry: OtherEntry, *, age_ms: int, family: str | None) -> OtherReport:
    """The record of ``entry``; ``family`` is the browser that delivered it."""
    document = uri(entry.url or _given(entry, "documentURL"))
    kept = {name: value for name, posted in entry.fields.items() if (value := _kept(name, posted)) is not None}
    return OtherReport(
        type=entry.type if entry.type in OTHER_TYPES else OTHER_TYPE,
        age_ms=age_ms,
        document_uri=document.text,
        document_origin=document_origin(document),
        user_agent=browser(entry.user_agent) or family,
        fields=tuple(kept.items()),
        about=" ".join([str(kept[name]) for name in ABOUT if name in kept]),
        script=_script(entry, kept) if entry.type == CSP_HASH else None,
    )


def _script(entry: OtherEntry, kept: Mapping[str, Value]) -> Script | None:
    """The script that a ``csp-hash`` names; None when it lacks the hash, without which it says nothing."""
    digest = kept.get("hash")
    if not isinstance(digest, str):
        return None
    return Script(
        document_origin=document_origin(uri(_given(entry, "documentURL") or entry.url)),
        url=uri(_given(entry, "subresourceURL")).text,
        hash=digest,
        type=str(kept.get("type", "unknown")),
        destination=str(kept.get("destination", "unknown")),
    )


def _given(entry: OtherEntry, name: str) -> str | None:
    value = entry.fields.get(name)
    return value if isinstance(value, str) else None


def _kept(name: str, value: Value) -> Value | None:
    """As much of a field as may be stored; None when that is nothing."""
    if isinstance(value, str):
        read = TEXTS.get(name)
        return read(value) if read else None
    if isinstance(value, bool):
        return value if name in FLAGS else None
    return value if name in NUMBERS and -HIGHEST <= value <= HIGHEST else None


def _text(raw: str) -> str | None:
    """A message, its URLs without query, its addresses and tokens masked."""
    text = clean(raw, TEXT_LONGEST)
    shown = _URL.sub(lambda found: uri(found[0]).text or "", text)
    # Masking works on the segments of a path; here blanks part what is to be judged, and the URLs are done already.
    return squeezed(" ".join([masked(word) for word in shown.split(" ")]))[:TEXT_LONGEST] or None


def _word(raw: str) -> str | None:
    found = _WORD.fullmatch(clean(raw, WORD_LONGEST).strip())
    return masked(found[0]) if found else None


def _uri(raw: str) -> str | None:
    text = uri(raw).text
    return text[:URI_LONGEST] if text else None


def _digest(raw: str) -> str | None:
    return raw if _HASH.fullmatch(raw) else None


# What is kept of a body, whatever its type. Whatever else stands there may be anything, and is left out: the headers and
# addresses of servers in NEL, the identifiers of a crash.
TEXTS: Mapping[str, Callable[[str], str | None]] = {
    **dict.fromkeys(("id", "policyId", "featureId", "reason", "phase", "type", "disposition", "destination"), _word),
    **dict.fromkeys(("property", "effectivePolicy", "method", "protocol", "anticipatedRemoval", "visibility_state"), _word),
    **dict.fromkeys(("message", "stack", "allowAttribute"), _text),
    **dict.fromkeys(("documentURL", "blockedURL", "subresourceURL", "sourceFile", "srcAttribute", "referrer"), _uri),
    **dict.fromkeys(("previousResponseURL", "nextResponseURL", "openerURL", "openeeURL", "otherURL", "initialPopupURL"), _uri),
    "hash": _digest,
}
NUMBERS = frozenset({"lineNumber", "columnNumber", "status_code", "elapsed_time", "sampling_fraction"})
FLAGS = frozenset({"reportOnly", "is_top_level"})
# Two reports of a type that agree in these tell a reader nothing new.
ABOUT = ("id", "policyId", "featureId", "reason", "phase", "type", "destination", "property", "blockedURL", "subresourceURL")
