"""CSP reports: from the bytes that a browser posted to canonical records. Pure, and the hot path of the service."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

import msgspec

from collector.normalize import lenient
from collector.normalize.filters import SHIPPED, NoiseFilter
from collector.normalize.fingerprint import fingerprint
from collector.normalize.other_reports import other_report
from collector.normalize.policy import policy, policy_hash
from collector.normalize.sources import allows
from collector.normalize.text import clean, squeezed
from collector.normalize.uris import Uri, document_origin, uri
from collector.normalize.useragent import browser
from collector.wire.csp import CSP_VIOLATION, DIRECTIVES, Entry, Violation
from collector.wire.errors import InvalidReport
from collector.wire.other_reports import OtherEntry
from collector.wire.records import CspReport, DropReason, OtherReport, Sample

MAX_ENTRIES = 1000  # of one batch; browsers queue 100
MAX_AGE_MS = 2 * 24 * 60 * 60 * 1000  # what the Reporting API lets a browser keep a report
SAMPLE_LONGEST = 40  # what CSP lets a browser send
PLACE_LONGEST = 300
INT32 = 2**31 - 1

_DIRECTIVE_READ = 256
_CACHED_LENGTH = 2048
_CACHED = 1024  # verdicts, on policies and URLs of 2048 characters: some megabytes when somebody means to fill it
_DISPOSITIONS = frozenset({"enforce", "report"})
_CODE_KINDS = frozenset({"inline", "eval"})
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
    """What one POST brought. ``outcomes`` has an entry for each of the body's first 1,000, in order; the rest are its sums.

    ``fingerprints`` and ``ages`` are parallel to ``reports``, as in ``CspIntake``.
    """

    outcomes: tuple[Outcome, ...]
    reports: tuple[CspReport, ...] = ()
    fingerprints: tuple[str, ...] = ()
    ages: tuple[int, ...] = ()
    drops: tuple[tuple[DropReason, int], ...] = ()
    others: tuple[OtherReport, ...] = ()


def arrived(body: bytes, *, user_agent: str | None, project: str = "default", noise: NoiseFilter = SHIPPED) -> Arrived:
    """What a POST to the CSP intake brought, judged entry by entry and by shape, whatever its content type says.

    Raises:
        InvalidReport: the body is not JSON, or is neither an array nor an object that browsers send.
    """
    return judged(body, browser(user_agent), project, noise)


def judged(body: bytes, family: str | None, project: str, noise: NoiseFilter) -> Arrived:
    """As :func:`arrived`, of a browser of this family."""
    entries, over = _entries(body)
    outcomes = tuple([_outcome(entry, family, noise) for entry in entries])
    reports = tuple([outcome for outcome in outcomes if isinstance(outcome, CspReport)])
    fingerprints = tuple([fingerprint(project, report.group) for report in reports])
    ages = tuple([_age(entry) for entry, outcome in zip(entries, outcomes, strict=True) if isinstance(outcome, CspReport)])
    ages = ages if any(ages) else ()
    if len(reports) == len(outcomes) and not over:
        return Arrived(outcomes, reports, fingerprints, ages)  # nearly always: there is nothing to count
    drops = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Dropped))
    if over:
        drops[DropReason.OVER_ENTRIES] = over
    others = tuple([outcome for outcome in outcomes if isinstance(outcome, OtherReport)])
    return Arrived(outcomes, reports, fingerprints, ages, tuple(drops.items()), others)


def lone_violation(array: bytes, family: str | None, noise: NoiseFilter) -> CspReport | None:
    """What an array of one brings, if that is a violation which the typed reading finds whole; then it is read so anywhere."""
    try:
        typed = _ARRAY.decode(array)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(typed) != 1 or not _is_complete(typed[0]):
        return None
    outcome = _outcome(typed[0], family, noise)
    return outcome if isinstance(outcome, CspReport) else None


def _entries(body: bytes) -> tuple[Sequence[lenient.Posted], int]:
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
        if entry.type != CSP_VIOLATION or entry.body is None:
            return False
        found = entry.body
    return (
        found.blocked_uri is not None
        and found.document_uri is not None
        and (found.effective_directive is not None or found.violated_directive is not None)
    )


def _outcome(entry: lenient.Posted, family: str | None, noise: NoiseFilter) -> Outcome:
    if isinstance(entry, str):
        return Dropped(DropReason.MALFORMED, entry)
    if isinstance(entry, OtherEntry):
        return other_report(entry, age_ms=_milliseconds(entry.age), family=family)
    if entry.csp_report is not None:
        return _report(entry.csp_report, noise, document=None, family=family)
    if entry.body is None:
        return Dropped(DropReason.EMPTY, "no field has a value")
    # The browser that saw the violation is not always the one that delivers it.
    return _report(entry.body, noise, document=entry.url, family=browser(entry.user_agent) or family)


def _age(entry: lenient.Posted) -> int:
    """How long before its delivery it happened, in ms; legacy reports do not say, and come at once."""
    return _milliseconds(entry.age) if isinstance(entry, Entry) and entry.csp_report is None else 0


def _report(found: Violation, noise: NoiseFilter, *, document: str | None, family: str | None) -> CspReport | Dropped:
    """``document`` is the envelope's URL, which stands in for a missing one in the body."""
    if not (
        found.blocked_uri or found.document_uri or found.effective_directive or found.violated_directive or found.source_file
    ):
        return Dropped(DropReason.EMPTY, "no field has a value")
    document = found.document_uri or document
    blocked_at, document_at, source_at = uri(found.blocked_uri), uri(document), uri(found.source_file)
    directive = _directive(found.effective_directive) or _directive(found.violated_directive)
    sample = _sample(found, document_at, blocked_at, source_at, family)
    rule = noise.rule(
        blocked=found.blocked_uri,
        source=found.source_file,
        document=document,
        sample=sample.script_sample,
        directive=directive,
    )
    origin = document_origin(document_at)
    return CspReport(
        effective_directive=directive,
        blocked_kind=blocked_at.kind,
        blocked_origin=blocked_at.origin,
        blocked_key=_blocked_key(blocked_at, document_at),
        document_origin=origin,
        disposition=found.disposition if found.disposition in _DISPOSITIONS else None,
        noise_class=None if rule is None else rule.noise_class,
        noise_rule=None if rule is None else rule.name,
        place=_place(blocked_at, source_at, sample),
        sample=sample,
        policy_hash=policy_hash(sample.policy),
        policy_allows=_policy_allows(policy(found.original_policy).judged, directive, blocked_at.text, origin),
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
        policy=policy(found.original_policy).text,
        user_agent=family,
    )


def _milliseconds(age: float | None) -> int:
    """An age between now and the longest that a browser may keep a report, whatever its clock says."""
    return int(min(age, MAX_AGE_MS)) if age is not None and age > 0 else 0


def _directive(text: str | None) -> str | None:
    """The first word, if it is a directive. CSP 1 and 2 put the whole directive with its sources into the field."""
    if text is None or text in DIRECTIVES:
        return text
    words = text[:_DIRECTIVE_READ].split(maxsplit=1)
    if not words:
        return None
    name = words[0].lower().rstrip(";")
    return name if name in DIRECTIVES else None


def _policy_allows(judged: str | None, directive: str | None, blocked: str | None, document_origin: str | None) -> bool:
    """Whether the policy seems to allow what it came with: a blocked redirect, or ``strict-dynamic``, looks like that."""
    if judged is None:
        return False
    if len(judged) + len(blocked or "") > _CACHED_LENGTH:
        return allows(judged, directive, blocked, document_origin)
    return _allows(judged, directive, blocked, document_origin)


_allows = functools.lru_cache(_CACHED)(allows)


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
