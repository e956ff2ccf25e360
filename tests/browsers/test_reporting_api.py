"""The Reporting API over https, in real browsers: to an origin that is not the page's, hence after a preflight."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browsers.browser import opened
from tests.browsers.conftest import Secured
from tests.browsers.listed import listed, what
from tests.browsers.site import POLICY, by_report_to, serve_site
from tests.service import Service, run_service

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Headers = Callable[[Service, str], dict[str, str]]


def alone(service: Service, base_url: str) -> dict[str, str]:
    """Headers with ``report-to`` and without ``report-uri``."""
    return by_report_to(f"{base_url}/csp/reports?key={service.browser_key}")


def printed(service: Service, base_url: str) -> dict[str, str]:
    """The headers that the collector offers to paste."""
    query = f"project=default&report_only=false&base_url={quote(base_url)}&policy={quote(POLICY)}"
    lines = service.get(f"/api/v2/csp/header?{query}")["headers"]
    return {line["name"]: line["value"] for line in lines}


@pytest.mark.parametrize("headers", [alone, printed])
async def test_every_violation_arrives_once(browser: str, headers: Headers, secured: Secured, tmp_path: Path) -> None:
    """With report-to, whether alone or as it is offered to paste, each violation of the page is counted once."""
    with run_service(tmp_path, **secured.options) as service:
        async with serve_site(headers(service, secured.url), secured.pair) as site:
            with opened(browser, site.page, secured.authority) as log:
                found = await listed(service, site, log)
        preflights = service.answers("OPTIONS", status="200")

    assert {what(violation) for violation in found} == site.provoked
    assert {violation["count"] for violation in found} == {1}
    assert {violation["disposition"] for violation in found} == {"enforce"}
    assert {violation["document_origin"] for violation in found} == {site.origin}
    assert not any(secret in json.dumps(found) for secret in ("secret", "jo@", service.browser_key))
    assert preflights > 0
