"""Every page in a real Chromium: light and dark, wide and narrow, without a complaint, and readable without scripts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from collector.cli.demo import past_day
from collector.http.appkeys import WRITER
from collector.jobs import ROWS
from tests.inside import Inside, running
from tests.pages.sent import send_everything

pytestmark = pytest.mark.browser

PAGES = {
    "overview": "/",
    "violations": "/csp",
    "violation": "/csp/violations/{id}",
    "ignore-rules": "/csp/ignore-rules",
    "policy": "/csp/policy",
    "noise": "/csp/noise",
    "ai-usage": "/aibridge",
    "setup": "/setup",
}
IMAGES = Path(__file__).resolve().parents[2] / "docs/images"
SERIOUS = ("serious", "critical")
HIGHEST = 900  # pixels of a picture


async def filled(inside: Inside) -> str:
    """Fill a service with every kind of record; the id of its most reported violation."""
    await past_day(inside.app)
    await send_everything(inside)
    await inside.app[ROWS].flush(inside.app[WRITER].write)
    listed = await inside.get("/api/v2/csp/violations?sort=count&noise=include")
    return str(listed["results"][0]["id"])


async def signed_in(browser: Browser, inside: Inside, complaints: list[str], **context: Any) -> Page:
    """A page of a new context, signed in by the form; whatever the browser complains about is in ``complaints``."""
    page = await (await browser.new_context(**context)).new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    await page.goto(f"{inside.url}/")
    await page.get_by_label("Token").fill(inside.secrets.token)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Overview").wait_for()
    return page


async def own_reports(inside: Inside) -> int:
    """Violations of the pages' own policy that browsers have reported."""
    return int((await inside.get("/api/v2/csp/violations?project=self&noise=include"))["count"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_every_page_is_sound(chromium: Browser, tmp_path: Path, scheme: str, width: int) -> None:
    """No page complains, breaks its policy, scrolls sideways, or has a serious finding of axe-core."""
    complaints: list[str] = []
    findings: list[str] = []
    async with running("sqlite", tmp_path) as inside:
        fingerprint = await filled(inside)
        look = {"color_scheme": scheme, "viewport": {"width": width, "height": HIGHEST}}
        page = await signed_in(chromium, inside, complaints, **look)
        # axe-core is injected by evaluating it, which the pages' policy does not govern.
        for name, path in PAGES.items():
            await page.goto(inside.url + path.format(id=fingerprint))
            if name == "overview":
                await page.locator("#chart canvas").wait_for()
            if os.environ.get("SCREENSHOTS"):
                await page.screenshot(path=IMAGES / f"{name}-{scheme}-{width}.png")
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                findings.append(f"{name} scrolls sideways")
            results = await Axe().run(page)
            findings += [
                f"{name}: {found['id']} {found['nodes'][0]['target']}"
                for found in results.response["violations"]
                if found["impact"] in SERIOUS
            ]
        reported = await own_reports(inside)
        await page.context.close()
    assert complaints == []
    assert findings == []
    assert reported == 0


async def test_every_page_is_readable_without_scripts(chromium: Browser, tmp_path: Path) -> None:
    """With scripts off each page has its heading and its numbers, the list is filtered, and a state is changed."""
    async with running("sqlite", tmp_path) as inside:
        fingerprint = await filled(inside)
        page = await signed_in(chromium, inside, [], java_script_enabled=False)
        for path in PAGES.values():
            answer = await page.goto(inside.url + path.format(id=fingerprint))
            assert answer is not None
            assert answer.status == 200
            assert await page.locator("h1").is_visible()
            assert await page.get_by_role("button", name="Copy").count() == 0
        await page.goto(f"{inside.url}/csp")
        await page.get_by_label("Search").fill("fonts.example.org")
        await page.get_by_role("button", name="Show").click()
        assert "fonts.example.org" in await page.locator("tbody tr").first.inner_text()
        await page.goto(f"{inside.url}/csp/violations/{fingerprint}")
        await page.get_by_role("button", name="Resolve").click()
        assert "This violation is resolved" in await page.locator("#state").inner_text()
        await page.goto(f"{inside.url}/csp/policy")
        await page.locator("textarea").fill("default-src 'none'")
        await page.get_by_role("button", name="Replay").click()
        assert await page.get_by_role("heading", name="Replay for default").is_visible()
        await page.context.close()


async def test_several_are_decided_on_by_keyboard(chromium: Browser, tmp_path: Path) -> None:
    """Without scripts and without a mouse: two boxes, a note and a button; then the rest by the one box for all."""
    async with running("sqlite", tmp_path) as inside:
        await filled(inside)
        page = await signed_in(chromium, inside, [], java_script_enabled=False)
        await page.goto(f"{inside.url}/csp")
        shown = await page.locator("tbody tr").count()
        boxes = page.get_by_role("checkbox", name="Choose")
        await boxes.first.focus()
        for key in ("Space", "Tab", "Tab", "Space"):  # a link stands between two boxes
            await page.keyboard.press(key)
        assert [await boxes.nth(place).is_checked() for place in range(3)] == [True, True, False]
        await page.get_by_label("Note").focus()
        await page.keyboard.type("seen by keyboard")
        for key in ("Tab", "Tab", "Enter"):  # past the first button to the second
            await page.keyboard.press(key)
        await page.get_by_text("2 violations are now ignored.").wait_for()
        assert await page.locator("tbody tr").count() == shown - 2
        await page.get_by_role("checkbox", name="on this page").focus()
        await page.keyboard.press("Space")
        await page.get_by_role("button", name="Resolve").focus()
        await page.keyboard.press("Enter")
        await page.get_by_text(f"{shown - 2} violations are now resolved.").wait_for()
        await page.get_by_text("No violation is open.").wait_for()
        await page.context.close()


async def test_a_test_report_arrives_live(chromium: Browser, tmp_path: Path) -> None:
    """The button of a site sends a report, says that it arrived, and leads to its violation."""
    complaints: list[str] = []
    async with running("sqlite", tmp_path) as inside:
        page = await signed_in(chromium, inside, complaints)
        await page.goto(f"{inside.url}/setup")
        await page.get_by_role("button", name="Send a test report to default").click()
        await page.get_by_text("Arrived and stored within").wait_for()
        await page.get_by_role("link", name="See it").click()
        await page.get_by_role("heading", name="https://report-test.invalid").wait_for()
        await page.context.close()
    assert complaints == []


@pytest.mark.parametrize(
    ("button", "stored"),
    [
        ("Send a test report of an agent", "agent test, workspace setup, user admin"),
        ("Send a test message of a server", "machine collector-setup-test, system browser"),
    ],
)
async def test_other_intakes_are_tried_live(chromium: Browser, tmp_path: Path, button: str, stored: str) -> None:
    """The record goes through the real intake, the page says that it arrived and shows what is stored of it; so again."""
    complaints: list[str] = []
    async with running("sqlite", tmp_path) as inside:
        page = await signed_in(chromium, inside, complaints)
        await page.goto(f"{inside.url}/setup")
        for _ in range(2):
            await page.get_by_role("button", name=button).click()
            await page.get_by_text("Arrived and stored within").wait_for()
            assert stored in await page.locator(".under[data-at]").inner_text()
        await page.context.close()
    assert complaints == []


async def test_the_pages_report_on_themselves(chromium: Browser, tmp_path: Path) -> None:
    """What breaks the policy of a page is reported here, under the project self."""
    async with running("sqlite", tmp_path) as inside:
        page = await signed_in(chromium, inside, [])
        async with page.expect_request(lambda request: "/csp/reports?key=" in request.url) as sent:
            await page.evaluate("document.body.append(Object.assign(new Image(), { src: 'https://foreign.invalid/x.png' }))")
        await (await sent.value).response()
        assert await own_reports(inside) == 1
        await page.context.close()
