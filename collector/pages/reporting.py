"""The response headers that make a site's visitors report: what the page offers to paste, and what the first start prints."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

# A policy nobody's page breaks from: it is only reported. "self" shows at once what a site loads from elsewhere.
POLICY = "default-src 'self'"
ENDPOINT = "csp"


class Header(NamedTuple):
    """One response header."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"


def report_headers(base_url: str, key: str) -> tuple[Header, ...]:
    """The headers a site sends so that its violations arrive under the browser key ``key``.

    ``base_url`` is where browsers reach the collector, without a slash at its end. Over https both mechanisms are
    offered, since each browser takes the one it knows. Over plain http only ``report-uri`` works: a browser that knows
    ``report-to`` then ignores ``report-uri`` and refuses an endpoint that is not https, so offering both gets nothing.
    """
    endpoint = f"{base_url}/csp/reports?key={quote(key, safe='')}"
    policy = f"{POLICY}; report-uri {endpoint}"
    if urlsplit(base_url).scheme != "https":
        return (Header("Content-Security-Policy-Report-Only", policy),)
    return (
        Header("Reporting-Endpoints", f'{ENDPOINT}="{endpoint}"'),
        Header("Content-Security-Policy-Report-Only", f"{policy}; report-to {ENDPOINT}"),
    )
