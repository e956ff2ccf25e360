"""The pages about policies, noise, AI usage and setup, with what came in through the service's own doors."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from collector.http.auth import TOKEN_NAME
from tests.aibridge import SERVER_JSON
from tests.inside import Inside

POLICY = "default-src 'self'; img-src 'self'"


def report(blocked: str, directive: str = "img-src") -> str:
    """A legacy report as browsers send it."""
    fields = {
        "document-uri": "https://shop.example/cart",
        "violated-directive": directive,
        "effective-directive": directive,
        "original-policy": POLICY,
        "disposition": "enforce",
        "blocked-uri": blocked,
        "status-code": 200,
    }
    return json.dumps({"csp-report": fields})


async def blocked(inside: Inside, *uris: str) -> None:
    """Let a browser report each of ``uris``."""
    for uri in uris:
        status, _ = await inside.post(inside.csp_path, report(uri), **{"Content-Type": "application/csp-report"})
        assert status == 200


async def page(inside: Inside, path: str) -> str:
    """The text of a page as the owner sees it, with its entities read."""
    async with inside.client.get(path, headers={"Cookie": f"{TOKEN_NAME}={inside.secrets.token}"}) as answer:
        assert answer.status == 200
        return html.unescape(await answer.text())


async def test_advice_is_shown_with_its_grounds(inside: Inside) -> None:
    """The suggestion begins with the reported policy, marks what it adds, and says what it would still block."""
    await blocked(inside, "https://cdn.example.net/a.png", "https://cdn.example.net/b.png")

    shown = await page(inside, "/csp/policy?project=default&clients=1&count=1&days=0&documents=1")

    assert "Suggested for default" in shown
    assert "default-src 'self'" in shown
    assert "https://cdn.example.net" in shown
    assert '<h2 id="diff-title">What changes</h2>' in shown


async def test_a_pasted_policy_is_replayed(inside: Inside) -> None:
    """A form from this very site gets a verdict on each source that was blocked; from another it is refused."""
    await blocked(inside, "https://cdn.example.net/a.png")
    body = aiohttp.FormData({"project": "default", "policy": "default-src 'self'; img-src https://cdn.example.net"})
    cookie = {"Cookie": f"{TOKEN_NAME}={inside.secrets.token}"}

    async with inside.client.post("/csp/policy", data=body, headers=cookie | {"Sec-Fetch-Site": "same-origin"}) as answer:
        assert answer.status == 200
        shown = await answer.text()
    body = aiohttp.FormData({"project": "default", "policy": "default-src 'self'"})
    async with inside.client.post("/csp/policy", data=body, headers=cookie | {"Sec-Fetch-Site": "cross-site"}) as answer:
        assert answer.status == 403

    assert "https://cdn.example.net" in shown
    assert "allowed" in shown


async def test_noise_is_shown_by_class_and_rule(inside: Inside) -> None:
    """Each class leads to its violations; each rule says what it matched."""
    await blocked(inside, "chrome-extension://abcdefghijklmnop/a.js", "moz-extension", "https://cdn.example.net/a.png")

    shown = await page(inside, "/csp/noise")

    assert '<a href="/csp?state=all&noise=browser-extension">browser-extension</a>' in shown
    classes = shown[shown.index('id="classes"') : shown.index('id="rules"')]
    assert re.findall(r'class="number">(\d+)<', classes)[:1] == ["2"]
    assert "extension-scheme" in shown


@pytest.mark.parametrize("path", ["/csp/noise", "/aibridge", "/csp/policy"])
async def test_an_empty_page_says_what_to_do_next(standing: Inside, path: str) -> None:
    """Nobody is left before an empty table."""
    shown = await page(standing, path)

    hint = shown[shown.index('<div class="card hint') :]
    assert 'href="/setup' in hint[: hint.index("</div>")]


async def test_ai_usage_is_that_of_the_log(inside: Inside) -> None:
    """Requests and tokens of a log that was sent, by model, as the API adds them up; without a price list it says so."""
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}".encode()
    status, receipt = await inside.post("/api/v2/ingest/aibridge", SERVER_JSON.replace(b"2026-01-13", yesterday), **inside.feed)
    assert (status, receipt["rejected_count"]) == (200, 0)
    usage = await inside.get("/api/v2/aibridge/usage?group_by=provider,model")
    [group] = usage["results"]

    shown = await page(inside, "/aibridge")

    assert group["tokens"]["output"] > 0
    assert group["model"] in shown
    assert f'title="{group["tokens"]["output"]}"' in shown
    assert "No price list" in shown


def arrived(shown: str) -> list[str]:
    """What the page of setup says of each kind, in order: reports, agents, workspaces, telemetry, AI bridge."""
    whole = shown[shown.index('<dl class="card arrivals">') :]
    return [re.sub(r"<[^>]*>", "", text).strip() for text in re.findall(r"<dd[^>]*>(.*?)</dd>", whole, re.DOTALL)]


async def test_setup_shows_the_headers_and_what_has_arrived(inside: Inside) -> None:
    """The header with the project's own key, settings without a secret, and that the first workspace has come."""
    before = await page(inside, "/setup")
    workspace = {"id": "w", "name": "w", "owner_id": "u", "template_id": "t", "deleted": False, "latest_build": None}
    status, _ = await inside.post("/api/v2/ingest/workspaces", json.dumps([workspace]), **inside.feed)
    assert status == 200
    after = await page(inside, "/setup")

    assert f"/csp/reports?key={inside.secrets.browser_key}" in before
    assert inside.secrets.feed_key not in before
    assert "CODER_TELEMETRY_URL" in before
    assert len(arrived(before)) == 5
    assert [old == new for old, new in zip(arrived(before), arrived(after), strict=True)] == [True, True, False, True, True]
