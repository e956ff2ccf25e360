"""What a page provokes in a real browser, the real collector shows."""

from __future__ import annotations

import json

import pytest

from tests.browsers.browser import opened
from tests.browsers.listed import listed, what
from tests.browsers.site import by_report_uri, serve_site
from tests.service import Service

pytestmark = pytest.mark.browser


async def test_every_violation_of_the_page_is_there(browser: str, service: Service) -> None:
    """Over http with report-uri alone, each violation of the page arrives once, under its own directive and kind."""
    async with serve_site(by_report_uri(f"{service.url}/csp/reports?key={service.browser_key}")) as site:
        with opened(browser, site.page) as log:
            found = await listed(service, site, log)

    assert {what(violation) for violation in found} == site.provoked
    assert {violation["count"] for violation in found} == {1}
    assert {violation["disposition"] for violation in found} == {"enforce"}
    assert {violation["document_origin"] for violation in found} == {site.origin}
    assert {violation["noise_class"] for violation in found} == {None}
    # The page's own query and those of what it loads carry secrets that browsers pass on.
    assert not any(secret in json.dumps(found) for secret in ("secret", "jo@", service.browser_key))
