"""How each browser words a violation. Every function here is one browser's way, down to what it leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from collector.simulate.faults import POLICY, Fault

CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.3 Safari/605.1.15"
OLD_SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/11.1.2 Safari/605.1.15"
)


class Violation(NamedTuple):
    """One time that a policy was broken before somebody's eyes."""

    fault: Fault
    disposition: str  # enforce or report
    nonce: str
    age_ms: int = 0

    @property
    def policy(self) -> str:
        """The policy of the page, with the nonce of this response."""
        return POLICY.format(nonce=self.nonce)


class Dialect(NamedTuple):
    """A browser's way to report: what it sends, and what of a violation survives it."""

    name: str
    engine: str
    user_agent: str
    content_type: str
    batch: int  # violations in one POST, at most
    body: Callable[[Sequence[Violation], Sequence[dict[str, Any]]], bytes]
    modern: bool = True  # else CSP2: no -elem, no -attr, no disposition

    def directive(self, fault: Fault) -> str:
        """The effective directive as this browser names it."""
        return fault.directive if self.modern else fault.directive.removesuffix("-elem").removesuffix("-attr")

    def disposition(self, violation: Violation) -> str | None:
        """The disposition as this browser tells it."""
        return violation.disposition if self.modern else None


def chromium_legacy(violations: Sequence[Violation], _others: Sequence[dict[str, Any]]) -> bytes:
    """One object a POST; places are absent when unknown, the sample is there even when empty."""
    violation = violations[0]
    fault = violation.fault
    report: dict[str, Any] = {
        "document-uri": fault.document,
        "referrer": "",
        "violated-directive": fault.directive,
        "effective-directive": fault.directive,
        "original-policy": f"{violation.policy}; report-uri /csp",
        "disposition": violation.disposition,
        "blocked-uri": fault.blocked,
    }
    if fault.source is not None:
        report |= {"line-number": fault.line, "column-number": 5, "source-file": fault.source.partition("?")[0]}
    report |= {"status-code": 200, "script-sample": fault.sample}
    return _compact({"csp-report": report})


def firefox_legacy(violations: Sequence[Violation], _others: Sequence[dict[str, Any]]) -> bytes:
    """One object a POST, keys in alphabetical order; a column even without a line, no sample when there is none."""
    violation = violations[0]
    fault = violation.fault
    report: dict[str, Any] = {
        "blocked-uri": fault.blocked,
        "column-number": 1,
        "disposition": violation.disposition,
        "document-uri": fault.document,
        "effective-directive": fault.directive,
        "original-policy": f"{violation.policy}; report-uri https://reports.example/csp?key=masked",
        "referrer": "",
        "status-code": 200,
        "violated-directive": fault.directive,
    }
    if fault.source is not None:
        report |= {"line-number": fault.line, "source-file": fault.source}
    if fault.sample:
        report["script-sample"] = fault.sample[:40]
    return _compact({"csp-report": dict(sorted(report.items()))})


def chromium_reports(violations: Sequence[Violation], others: Sequence[dict[str, Any]]) -> bytes:
    """An array; what is unknown is absent, and other types of reports stand among the violations."""
    return _compact([_envelope(v, _known(_body(v, "")), CHROMIUM) for v in violations] + [*others])


def firefox_reports(violations: Sequence[Violation], _others: Sequence[dict[str, Any]]) -> bytes:
    """A pretty-printed array; what is unknown is null."""
    return json.dumps([_envelope(v, _body(v, None), FIREFOX) for v in violations], indent=1).encode()


def safari_report(violations: Sequence[Violation], _others: Sequence[dict[str, Any]]) -> bytes:
    """A single object of the Reporting API, sent as ``application/csp-report``: no age and no user agent inside."""
    violation = violations[0]
    return _compact({"type": "csp-violation", "url": violation.fault.document, "body": _body(violation, "")})


def old_safari(violations: Sequence[Violation], _others: Sequence[dict[str, Any]]) -> bytes:
    """CSP2: the violated directive with its sources, no disposition, nothing blocked when it was inline or eval."""
    fault, policy = violations[0].fault, violations[0].policy
    directive = OLD_SAFARI_REPORTS.directive(fault)
    in_policy = next((d.strip() for d in policy.split(";") if d.split()[0] == directive), "default-src 'self'")
    return _compact(
        {
            "csp-report": {
                "document-uri": fault.document,
                "referrer": "",
                "violated-directive": in_policy,
                "effective-directive": directive,
                "original-policy": policy,
                "blocked-uri": "" if fault.blocked in {"inline", "eval", "wasm-eval"} else fault.blocked,
                "status-code": 0,
            }
            | ({} if fault.source is None else {"source-file": fault.source, "line-number": fault.line})
        }
    )


def other_report(kind: str, document: str, age_ms: int) -> dict[str, Any]:
    """A report of the Reporting API that is not about CSP, as Chromium puts it in the same array."""
    body = {"id": "UnloadHandler", "message": "Unload event listeners are deprecated.", "sourceFile": document, "lineNumber": 3}
    return {"age": age_ms, "body": body, "type": kind, "url": document, "user_agent": CHROMIUM}


def _body(violation: Violation, unknown: str | None) -> dict[str, Any]:
    fault = violation.fault
    return {
        "blockedURL": fault.blocked,
        "columnNumber": None if fault.line is None else 5,
        "disposition": violation.disposition,
        "documentURL": fault.document,
        "effectiveDirective": fault.directive,
        "lineNumber": fault.line,
        "originalPolicy": f"{violation.policy}; report-to csp",
        "referrer": unknown,
        "sample": fault.sample or unknown,
        "sourceFile": fault.source,
        "statusCode": 200,
    }


def _known(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _envelope(violation: Violation, body: dict[str, Any], user_agent: str) -> dict[str, Any]:
    url = violation.fault.document
    return {"age": violation.age_ms, "body": body, "type": "csp-violation", "url": url, "user_agent": user_agent}


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


LEGACY, REPORTS = "application/csp-report", "application/reports+json"
OLD_SAFARI_REPORTS = Dialect("old safari", "webkit", OLD_SAFARI, LEGACY, 1, old_safari, modern=False)

# A dialect and its share of the visitors, in percent.
DIALECTS = (
    (Dialect("chromium legacy", "chromium", CHROMIUM, LEGACY, 1, chromium_legacy), 34),
    (Dialect("chromium reports", "chromium", CHROMIUM, REPORTS, 8, chromium_reports), 30),
    (Dialect("firefox legacy", "firefox", FIREFOX, LEGACY, 1, firefox_legacy), 10),
    (Dialect("firefox reports", "firefox", FIREFOX, REPORTS, 5, firefox_reports), 8),
    (Dialect("safari", "webkit", SAFARI, LEGACY, 1, safari_report), 15),
    (OLD_SAFARI_REPORTS, 3),
)
