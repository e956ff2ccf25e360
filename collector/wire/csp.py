"""What a browser posts about CSP: the legacy ``csp-report`` envelope and the entries of the Reporting API.

Every field may be missing or null. A struct decodes what browsers send today; ``normalize/lenient.py`` reads the rest.
Sources: CSP3 "Reporting" (https://w3c.github.io/webappsec-csp/#reporting), https://w3c.github.io/reporting/.
"""

from __future__ import annotations

import msgspec

CSP_VIOLATION = "csp-violation"

# Every directive of CSP 1 to 3, Trusted Types, and those that browsers once knew; it becomes a metric label.
DIRECTIVES = frozenset(
    {
        "base-uri",
        "block-all-mixed-content",
        "child-src",
        "connect-src",
        "default-src",
        "fenced-frame-src",
        "font-src",
        "form-action",
        "frame-ancestors",
        "frame-src",
        "img-src",
        "manifest-src",
        "media-src",
        "navigate-to",
        "object-src",
        "plugin-types",
        "prefetch-src",
        "referrer",
        "reflected-xss",
        "report-to",
        "report-uri",
        "require-sri-for",
        "require-trusted-types-for",
        "sandbox",
        "script-src",
        "script-src-attr",
        "script-src-elem",
        "style-src",
        "style-src-attr",
        "style-src-elem",
        "trusted-types",
        "upgrade-insecure-requests",
        "webrtc",
        "worker-src",
    }
)


class LegacyReport(msgspec.Struct, frozen=True, gc=False, rename="kebab"):
    """The object under ``csp-report``. Browsers before CSP3 lack the effective directive, some the document URI."""

    document_uri: str | None = None
    referrer: str | None = None
    blocked_uri: str | None = None
    effective_directive: str | None = None
    violated_directive: str | None = None
    original_policy: str | None = None
    disposition: str | None = None
    source_file: str | None = None
    script_sample: str | None = None
    status_code: int | None = None
    line_number: int | None = None
    column_number: int | None = None


class ReportingBody(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "document_uri": "documentURL",
        "blocked_uri": "blockedURL",
        "effective_directive": "effectiveDirective",
        "violated_directive": "violatedDirective",
        "original_policy": "originalPolicy",
        "source_file": "sourceFile",
        "script_sample": "sample",
        "status_code": "statusCode",
        "line_number": "lineNumber",
        "column_number": "columnNumber",
    },
):
    """The ``body`` of a ``csp-violation``: the fields of :class:`LegacyReport` under the names of the Reporting API."""

    document_uri: str | None = None
    referrer: str | None = None
    blocked_uri: str | None = None
    effective_directive: str | None = None
    violated_directive: str | None = None
    original_policy: str | None = None
    disposition: str | None = None
    source_file: str | None = None
    script_sample: str | None = None
    status_code: int | None = None
    line_number: int | None = None
    column_number: int | None = None


Violation = LegacyReport | ReportingBody


class Entry(msgspec.Struct, frozen=True, gc=False, rename={"csp_report": "csp-report"}):
    """One report as posted: alone (legacy; Safari's Reporting API) or in an array (every other Reporting API).

    ``csp_report`` makes it a legacy envelope; else ``type`` says what ``body`` is about. ``age`` is in milliseconds.
    """

    csp_report: LegacyReport | None = None
    type: str | None = None
    url: str | None = None
    age: float | None = None
    user_agent: str | None = None
    body: ReportingBody | None = None
