"""CSP reports: from the bytes that a browser posted to canonical records. Pure, and the hot path of the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from collector.normalize import lenient
from collector.normalize.filters import noise
from collector.normalize.policy import policy, policy_hash
from collector.normalize.text import clean, squeezed
from collector.normalize.uris import Uri, uri
from collector.normalize.useragent import browser
from collector.wire.csp import CSP_VIOLATION, DIRECTIVES, OTHER_TYPE, OTHER_TYPES, Entry, Violation
from collector.wire.errors import InvalidReport
from collector.wire.records import CspReport, DropReason, OtherReport, Sample

MAX_ENTRIES = 1000  # of one batch; browsers queue 100
MAX_AGE_MS = 2 * 24 * 60 * 60 * 1000  # what the Reporting API lets a browser keep a report
SAMPLE_LONGEST = 40  # what CSP lets a browser send
PLACE_LONGEST = 300
INT32 = 2**31 - 1

_DIRECTIVE_READ = 256
_DISPOSITIONS = frozenset({"enforce", "report"})
_CODE_KINDS = frozenset({"inline", "eval"})
_DOCUMENT_SCHEMES = frozenset({"http", "https"})
_WHITE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"

_OBJECT = msgspec.json.Decoder(Entry, strict=False)
_ARRAY = msgspec.json.Decoder(list[Entry], strict=False)


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """An entry that is no violation, and why in words."""

    reason: DropReason
    detail: str


Outcome = CspReport | OtherReport | Dropped


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """What one POST brought. ``outcomes`` has an entry for each of the body's first 1,000, in order; the rest are its sums."""

    outcomes: tuple[Outcome, ...]
    reports: tuple[CspReport, ...] = ()
    drops: tuple[tuple[DropReason, int], ...] = ()
    others: tuple[OtherReport, ...] = ()


class Remembered:
    """What recent bodies brought, by body and browser. A page with a fault makes all its visitors post the same bytes.

    Bounded by the bytes that it holds; when full it starts anew, which costs one normalization a body.
    """

    LONGEST = 4096  # bytes of a body
    BYTES = 8 * 1024 * 1024
    OVERHEAD = 1024  # bytes of a record beside its strings, which are at most as long as the body

    def __init__(self) -> None:
        self._arrived: dict[tuple[bytes, str | None], Arrived] = {}
        self._bytes = 0

    def get(self, body: bytes, family: str | None) -> Arrived | None:
        """What this body brought before, if it is still known."""
        return self._arrived.get((body, family))

    def put(self, body: bytes, family: str | None, arrived: Arrived) -> None:
        """Remember what this body brought."""
        size = 2 * len(body) + self.OVERHEAD
        if self._bytes + size > self.BYTES:
            self._arrived.clear()
            self._bytes = 0
        self._arrived[body, family] = arrived
        self._bytes += size


_remembered = Remembered()


def arrived(body: bytes, *, user_agent: str | None) -> Arrived:
    """What a POST to the CSP intake brought, judged entry by entry and by shape, whatever its content type says.

    Raises:
        InvalidReport: the body is not JSON, or is neither an array nor an object that browsers send.
    """
    family = browser(user_agent)
    if len(body) > Remembered.LONGEST or not body.startswith(b"{"):
        return _judged(body, family)  # long bodies and arrays hardly ever repeat
    known = _remembered.get(body, family)
    if known is None:
        known = _judged(body, family)
        _remembered.put(body, family, known)
    return known


def _judged(body: bytes, family: str | None) -> Arrived:
    entries, over = _entries(body)
    outcomes = tuple([_outcome(entry, family) for entry in entries])
    reports = tuple([outcome for outcome in outcomes if isinstance(outcome, CspReport)])
    if len(reports) == len(outcomes) and not over:
        return Arrived(outcomes, reports)  # nearly always: there is nothing to count
    drops = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Dropped))
    if over:
        drops[DropReason.OVER_ENTRIES] = over
    others = tuple([outcome for outcome in outcomes if isinstance(outcome, OtherReport)])
    return Arrived(outcomes, reports, tuple(drops.items()), others)


def _entries(body: bytes) -> tuple[Sequence[Entry | str], int]:
    """The posted entries, read typed and fast when that finds everything, patiently otherwise; and how many are too many."""
    body = body.removeprefix(_BOM).lstrip(_WHITE)
    try:
        typed = _ARRAY.decode(body) if body.startswith(b"[") else [_OBJECT.decode(body)]
    except RecursionError:
        raise InvalidReport("The report is nested too deeply.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return lenient.entries(body, MAX_ENTRIES)
    looked_at = typed[:MAX_ENTRIES]
    if all(map(_is_complete, looked_at)):
        return looked_at, len(typed) - len(looked_at)
    return lenient.entries(body, MAX_ENTRIES)


def _is_complete(entry: Entry) -> bool:
    """Whether the typed reading found all that names a violation; else a key may be there under another spelling."""
    found: Violation | None = entry.csp_report
    if found is None:
        if entry.type is None or entry.body is None:
            return False
        if entry.type != CSP_VIOLATION:
            return True
        found = entry.body
    return (
        found.blocked_uri is not None
        and found.document_uri is not None
        and (found.effective_directive is not None or found.violated_directive is not None)
    )


def _outcome(entry: Entry | str, family: str | None) -> Outcome:
    if isinstance(entry, str):
        return Dropped(DropReason.MALFORMED, entry)
    if entry.csp_report is not None:
        return _report(entry.csp_report, document=None, age=None, family=family)
    if entry.type != CSP_VIOLATION:
        return OtherReport(entry.type if entry.type in OTHER_TYPES else OTHER_TYPE, _document_origin(uri(entry.url)))
    if entry.body is None:
        return Dropped(DropReason.EMPTY, "no field has a value")
    # The browser that saw the violation is not always the one that delivers it.
    return _report(entry.body, document=entry.url, age=entry.age, family=browser(entry.user_agent) or family)


def _report(found: Violation, *, document: str | None, age: float | None, family: str | None) -> CspReport | Dropped:
    """``document`` is the envelope's URL, which stands in for a missing one in the body; ``age`` is in milliseconds."""
    if not (
        found.blocked_uri or found.document_uri or found.effective_directive or found.violated_directive or found.source_file
    ):
        return Dropped(DropReason.EMPTY, "no field has a value")
    document = found.document_uri or document
    blocked_at, document_at, source_at = uri(found.blocked_uri), uri(document), uri(found.source_file)
    directive = _directive(found.effective_directive) or _directive(found.violated_directive)
    sample = _sample(found, document_at, blocked_at, source_at, family)
    rule = noise(
        blocked=found.blocked_uri,
        source=found.source_file,
        document=document,
        sample=sample.script_sample,
        directive=directive,
    )
    return CspReport(
        effective_directive=directive,
        blocked_kind=blocked_at.kind,
        blocked_origin=blocked_at.origin,
        blocked_key=_blocked_key(blocked_at, document_at),
        document_origin=_document_origin(document_at),
        disposition=found.disposition if found.disposition in _DISPOSITIONS else None,
        noise_class=None if rule is None else rule.noise_class,
        noise_rule=None if rule is None else rule.name,
        place=_place(blocked_at, source_at, sample),
        age_ms=int(min(age, MAX_AGE_MS)) if age is not None and age > 0 else 0,
        sample=sample,
        policy_hash=policy_hash(sample.policy),
    )


def _sample(found: Violation, document_at: Uri, blocked_at: Uri, source_at: Uri, family: str | None) -> Sample:
    return Sample(
        document_uri=document_at.text,
        referrer=uri(found.referrer).text,
        blocked_uri=blocked_at.text,
        source_file=source_at.text,
        line_number=_positive(found.line_number),
        column_number=_positive(found.column_number),
        status_code=found.status_code if found.status_code == 0 else _positive(found.status_code),
        script_sample=clean(found.script_sample, SAMPLE_LONGEST).strip() or None if found.script_sample else None,
        policy=policy(found.original_policy),
        user_agent=family,
    )


def _document_origin(document: Uri) -> str | None:
    """Whose page it is; None for one that no site serves."""
    return document.origin if document.scheme in _DOCUMENT_SCHEMES and document.host else None


def _directive(text: str | None) -> str | None:
    """The first word, if it is a directive. CSP 1 and 2 put the whole directive with its sources into the field."""
    if text is None or text in DIRECTIVES:
        return text
    words = text[:_DIRECTIVE_READ].split(maxsplit=1)
    if not words:
        return None
    name = words[0].lower().rstrip(";")
    return name if name in DIRECTIVES else None


def _blocked_key(blocked: Uri, document: Uri) -> str:
    """What is blocked, for the fingerprint. Old browsers give the document's own origin where others say nothing or self."""
    if blocked.kind == "opaque":
        return blocked.text or blocked.kind
    if blocked.origin is None:
        return blocked.kind
    if blocked.kind == "origin" and blocked.origin == document.origin:
        return "local"
    return blocked.origin


def _place(blocked: Uri, source: Uri, sample: Sample) -> str:
    """Where blocked code stands: all inline scripts of a site would be one violation otherwise."""
    if blocked.kind not in _CODE_KINDS:
        return ""
    if source.text is None:
        return squeezed(sample.script_sample or "").rstrip("….")
    place = source.text[:PLACE_LONGEST]
    # The lines of an extension change with its releases, and are not the site's to mend.
    return f"{place}:{sample.line_number}" if sample.line_number and source.kind == "origin" else place


def _positive(number: int | None) -> int | None:
    """Line 0 is how some browsers say that they do not know."""
    return number if number is not None and 0 < number <= INT32 else None
