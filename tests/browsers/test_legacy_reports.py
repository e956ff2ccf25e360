"""What a page provokes in a real browser, the real collector shows."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.browsers.browser import opened
from tests.browsers.site import Site, serve_site
from tests.service import Service

pytestmark = pytest.mark.browser

WITHIN = 60.0  # seconds; a browser takes 3 to 10, more on a busy machine


async def violations(service: Service, site: Site, log: Path) -> list[dict[str, Any]]:
    """What the collector lists once it has as many violations as the page provokes."""
    deadline = time.monotonic() + WITHIN
    while True:
        answer = await asyncio.to_thread(service.get, "/api/v2/csp/violations?noise=include&limit=1000")
        results: list[dict[str, Any]] = answer["results"]
        if sum(violation["count"] for violation in results) >= len(site.provoked):
            return results
        if time.monotonic() > deadline:
            missing = site.provoked - {what(violation) for violation in results}
            printed = await asyncio.to_thread(log.read_text, errors="replace")
            pytest.fail(f"not reported within {WITHIN} s: {missing}\n{printed[-2000:]}")
        await asyncio.sleep(0.2)  # the browser sends when it likes


def what(violation: dict[str, Any]) -> tuple[str, str, str | None]:
    """Directive, kind and origin of what was blocked."""
    return violation["effective_directive"], violation["blocked_kind"], violation["blocked_origin"]


async def test_every_violation_of_the_page_is_there(browser: str, service: Service) -> None:
    """Over http with report-uri alone, each violation of the page arrives once, under its own directive and kind."""
    async with serve_site(f"{service.url}/csp/reports?key={service.browser_key}") as site:
        with opened(browser, site.page) as log:
            found = await violations(service, site, log)

    assert {what(violation) for violation in found} == site.provoked
    assert {violation["count"] for violation in found} == {1}
    assert {violation["disposition"] for violation in found} == {"enforce"}
    assert {violation["document_origin"] for violation in found} == {site.origin}
    assert {violation["noise_class"] for violation in found} == {None}
    # The page's own query and those of what it loads carry secrets that browsers pass on.
    assert not any(secret in json.dumps(found) for secret in ("secret", "jo@", service.browser_key))
