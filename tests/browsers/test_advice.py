"""The policy that is suggested for a page, tried on that page in the same browser."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.browsers.browser import opened
from tests.browsers.site import by_report_uri, serve_site
from tests.service import ROOT, Service

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WITHIN = 60.0  # seconds; a browser takes 3 to 10, more on a busy machine
SILENCE = 2.0  # seconds without a report after the page has done its last: reports are sent at once
ENOUGH = "reports=1&clients=1&days=1"  # one visitor on one day is all there is


def blocked(violation: dict[str, Any]) -> tuple[str, str]:
    """Directive and what was blocked, as advice names it."""
    return violation["effective_directive"], violation["blocked_origin"] or violation["blocked_kind"]


async def reported(service: Service, project: str, at_least: int) -> set[tuple[str, str]]:
    """What the visitors of a project were kept from, once it is so much and no more has come for a while."""
    path = f"/api/v2/csp/violations?noise=include&limit=1000&project={project}"
    found: set[tuple[str, str]] = set()
    changed = started = time.monotonic()
    while len(found) < at_least or time.monotonic() - changed < SILENCE:
        now = {blocked(each) for each in (await asyncio.to_thread(service.get, path))["results"]}
        if now != found:
            found, changed = now, time.monotonic()
        assert time.monotonic() - started < WITHIN, f"{len(found)} of {at_least}: {found}"
        await asyncio.sleep(0.1)  # the browser sends when it likes
    return found


def new_key(service: Service, project: str) -> str:
    """The browser key of a new project, made beside the running service."""
    command = [sys.executable, "-m", "collector", "key", "create", "--project", project, "--kind", "browser", "--quiet"]
    made = subprocess.run(command, cwd=ROOT, env=service.env, check=True, capture_output=True, text=True, timeout=60)
    return made.stdout.strip()


async def test_the_suggested_policy_leaves_what_it_said(browser: str, service: Service) -> None:
    """Under the suggested policy the page loads all it wants to, but for exactly what the advice said it would leave."""
    async with serve_site(by_report_uri(f"{service.url}/csp/reports?key={service.browser_key}")) as site:
        with opened(browser, site.page):
            before = await reported(service, "default", len(site.provoked))
        advice = await asyncio.to_thread(service.get, f"/api/v2/csp/policy?project=default&{ENOUGH}")
        said = {(left["directive"], left["blocked"]) for left in advice["left"]}
        key = await asyncio.to_thread(new_key, service, "after")
        site.headers = by_report_uri(f"{service.url}/csp/reports?key={key}", advice["policy"])
        site.may_send.clear()
        with opened(browser, site.page):
            await reported(service, "after", len(said))
            site.may_send.set()
            await asyncio.wait_for(site.sent.wait(), WITHIN)
            after = await reported(service, "after", len(said))
        policy = quote(advice["policy"])
        replay = await asyncio.to_thread(service.get, f"/api/v2/csp/policy/replay?project=default&policy={policy}")

    assert after == said
    assert after < before
    assert {what for _, what in after} == {"inline", "eval", "wasm-eval"}
    verdicts = {(each["directive"], each["blocked"]): each["verdict"] for each in replay["results"]}
    assert verdicts == {what: "blocked" if what in after else "allowed" for what in before}
