"""What only a browser can show: under the strict policy the page draws, copies and refreshes, and breaks no rule of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page
from pytest_aiohttp import AiohttpClient

from collector.persist.engine import open_store
from collector.persist.migrate import upgrade
from collector.rollup import snapshot as snapshots
from collector.wire.identity import Role
from tests.inside import running
from tests.pages.conftest import MINUTE, MOMENT, Site, pages_app, snapshot_at

pytestmark = pytest.mark.browser


@pytest.fixture
async def filled(tmp_path: Path, aiohttp_client: AiohttpClient) -> AsyncIterator[Site]:
    """The pages with a day of history, a violation and a key."""
    url = f"sqlite:///{tmp_path / 'collector.db'}"
    await upgrade(url)
    store = open_store(url)
    site = Site(store, await aiohttp_client(pages_app(store)))
    for minutes in range(60, 0, -2):
        await store.transact(partial(snapshots.store, snapshot=snapshot_at(MOMENT - minutes * MINUTE, running=minutes)))
    await site.snapshot(snapshot_at(MOMENT - 5_000))
    await site.violation()
    await site.key("default")
    yield site
    await store.close()


async def _opened(browser: Browser, site: Site, complaints: list[str], *, scripts: bool = True) -> Page:
    """The overview, reached by signing in, with everything that the browser complains about in ``complaints``."""
    server = site.client.server
    assert isinstance(server, TestServer)
    context = await browser.new_context(java_script_enabled=scripts)
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.clock.install(time=MOMENT / 1_000)
    await page.goto(str(server.make_url("/")))
    await page.get_by_label("Token").fill(await site.token(Role.OWNER))
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Overview").wait_for()
    return page


async def test_the_chart_is_drawn_under_the_strict_policy(chromium: Browser, filled: Site) -> None:
    """Signing in by the form leads to a page whose chart draws, with not one violation of the page's own policy."""
    complaints: list[str] = []
    page = await _opened(chromium, filled, complaints)
    await page.locator("#chart canvas").wait_for()
    assert await page.locator("details.values").get_attribute("open") is None
    assert "37" in await page.locator("#chart .u-legend").inner_text()
    assert complaints == []


async def test_live_parts_are_replaced_when_the_next_snapshot_is_due(chromium: Browser, filled: Site) -> None:
    """The numbers change without a reload, and the chart stays."""
    complaints: list[str] = []
    page = await _opened(chromium, filled, complaints)
    await page.locator("#chart canvas").wait_for()
    await filled.snapshot(snapshot_at(MOMENT, running=4_242))
    await page.clock.run_for(40_000)
    await page.get_by_text("4\u202f242", exact=True).first.wait_for()
    assert await page.locator("#chart canvas").count() == 1
    assert complaints == []


async def test_the_headers_are_copied(chromium: Browser, filled: Site) -> None:
    """One click puts the headers, as they are to be pasted, on the clipboard, and says so."""
    page = await _opened(chromium, filled, [])
    await page.goto(str(page.url) + "setup")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy the headers for default").click()
    await page.get_by_role("button", name="Copied").wait_for()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Content-Security-Policy-Report-Only: default-src 'self'; report-uri http://127.0.0.1:")


async def test_without_scripts_the_table_is_open(chromium: Browser, filled: Site) -> None:
    """Where scripts do not run the values are readable at once, and nothing stands empty in place of the chart."""
    page = await _opened(chromium, filled, [], scripts=False)
    assert await page.locator("details.values table").is_visible()
    assert not await page.locator("#chart").is_visible()
    assert await page.get_by_role("button", name="Copy").count() == 0


async def test_the_api_is_drawn_and_tried_out(chromium: Browser, tmp_path: Path) -> None:
    """Swagger UI lists every operation and calls one, with not one violation of the page's policy."""
    complaints: list[str] = []
    async with running("sqlite", tmp_path, CODER_SWAGGER_ENABLE="true") as inside:
        page = await chromium.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{inside.url}/swagger")
        await page.locator(".opblock").first.wait_for()
        document = await inside.get("/api/v2/openapi.json")
        assert await page.locator(".opblock").count() == sum(len(path) for path in document["paths"].values())
        await page.locator("#operations-health-get_healthz").get_by_role("button").first.click()
        await page.get_by_role("button", name="Try it out").click()
        await page.get_by_role("button", name="Execute").click()
        await page.locator(".live-responses-table").get_by_text("OK", exact=True).wait_for()
        await page.close()
    assert complaints == []
