"""Reports of the Reporting API that are not about CSP: their types, one of them as posted, and what is asked of them.

Sources: https://w3c.github.io/reporting/, and each type's own: https://wicg.github.io/deprecation-reporting/,
https://wicg.github.io/intervention-reporting/, https://wicg.github.io/crash-reporting/,
https://w3c.github.io/network-error-logging/, https://html.spec.whatwg.org/multipage/browsers.html (COEP, COOP),
https://w3c.github.io/webappsec-permissions-policy/, https://wicg.github.io/document-policy/,
https://w3c.github.io/webappsec-subresource-integrity/, https://w3c.github.io/webappsec-csp/ (csp-hash).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

# What a type is counted as: a closed list, because it becomes a metric label.
OTHER_TYPES = frozenset(
    {
        "coep",
        "coop",
        "crash",
        "csp-hash",
        "deprecation",
        "dip",  # Document-Isolation-Policy
        "document-policy-violation",
        "feature-policy-violation",  # what Chromium called permissions-policy-violation until 88
        "integrity-violation",
        "intervention",
        "network-error",
        "permissions-policy-violation",
        "potential-permissions-policy-violation",
        "test",
    }
)
OTHER_TYPE = "other"
CSP_HASH = "csp-hash"

Value = str | int | float | bool


class OtherEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry as posted. ``fields`` are the texts, numbers and booleans of its body; ``age`` is in milliseconds."""

    type: str
    url: str | None
    age: float | None
    user_agent: str | None
    fields: dict[str, Value]


class OtherSample(msgspec.Struct, frozen=True):
    """One report: the fields that are kept of its body, under the names of its specification."""

    seen_at: datetime
    document_uri: str | None
    user_agent: str | None
    body: msgspec.Raw


class OtherReports(msgspec.Struct, frozen=True):
    """All reports of one project and type, and some of them."""

    project: str
    type: str
    count: int  # ever; retention does not lower it
    samples: list[OtherSample]  # newest first


class OtherReportsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them are asked for: of a project by its name, of one type; of all without."""

    project: str | None = None
    type: str | None = None


class OtherReportsPage(msgspec.Struct, frozen=True):
    """One entry a project and type, ordered by both."""

    count: int
    results: list[OtherReports]
