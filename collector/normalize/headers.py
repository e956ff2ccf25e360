"""The response headers that make a site's visitors report: what the page, the API and the command line offer to paste."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from collector.normalize.drafts import Draft
from collector.normalize.sources import policies
from collector.wire.errors import InvalidInput, Validation
from collector.wire.policy import HeaderLine, Kit

ENDPOINT = "csp"
_REPORTING = ("report-uri", "report-to")


# Neither breaks a page while it is only reported. The second allows nothing (a list with a keyword alone is empty), has also
# the directives that do not fall back on default-src, and asks for samples of inline code.
KITS = {
    Kit.STARTER: "default-src 'self'",
    Kit.OBSERVE: (
        "default-src 'none'; script-src 'report-sample'; style-src 'report-sample'; base-uri 'none'; form-action 'none'"
    ),
}


def report_headers(
    base_url: str, key: str, *, policy: str = KITS[Kit.STARTER], report_only: bool = True
) -> tuple[HeaderLine, ...]:
    """The headers a site sends so that its violations of ``policy`` arrive under the browser key ``key``.

    ``base_url`` is where browsers reach the collector, without a slash at its end. Over https both mechanisms are
    offered, since each browser takes the one it knows. Over plain http only ``report-uri`` works: a browser that knows
    ``report-to`` then ignores ``report-uri`` and refuses an endpoint that is not https, so offering both gets nothing.

    Raises:
        InvalidInput: ``base_url`` is no http or https address that a header can hold, or the policy is empty.
    """
    endpoint = f"{_checked(base_url)}/csp/reports?key={quote(key, safe='')}"
    name = "Content-Security-Policy-Report-Only" if report_only else "Content-Security-Policy"
    secure = urlsplit(base_url).scheme == "https"
    reporting = f"report-uri {endpoint}" + (f"; report-to {ENDPOINT}" if secure else "")
    # Without the endpoints of whatever collected before.
    rules = [Draft({n: sources for n, sources in one.items() if n not in _REPORTING}).text for one in policies(policy)]
    if not any(rules):
        raise InvalidInput("The policy has no directive.", "", (Validation("policy", "must have a directive"),))
    header = HeaderLine(name, ", ".join(f"{rule}; {reporting}" for rule in rules if rule))
    return (HeaderLine("Reporting-Endpoints", f'{ENDPOINT}="{endpoint}"'), header) if secure else (header,)


def _checked(base_url: str) -> str:
    """``base_url`` without a slash at its end, if it can stand in a header and in a policy without ending either."""
    try:
        parts = urlsplit(base_url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not base_url.isascii() or not base_url.isprintable() or set(base_url) & set(" ;,\"'<>\\?#@"):
        problem = "must be an http or https address without user, query or fragment"
        raise InvalidInput(f"The base URL {base_url!r} cannot be used: it {problem}.", "", (Validation("base_url", problem),))
    return base_url.rstrip("/")
