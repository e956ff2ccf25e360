from __future__ import annotations

import re
from functools import partial

import pytest
from aiohttp.test_utils import make_mocked_request

from collector.pages.page import Pages
from collector.persist.keys import create_key, revoke_key
from collector.persist.projects import ensure_project
from collector.wire.errors import InvalidInput
from collector.wire.identity import KeyKind, Role
from tests.pages.conftest import DEPLOYED, MINUTE, MOMENT, Site, snapshot_at

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"


def _text(page: str) -> str:
    """What a reader sees: tags gone, white space made one blank."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("role", [Role.OWNER, Role.AUDITOR])
async def test_owner_and_auditor_see_the_newest_snapshot(site: Site, role: Role) -> None:
    """The page shows the current snapshot, when it was collected, from what, and when the next one comes."""
    await site.sign_in(role)
    await site.snapshot(snapshot_at(MOMENT - 12_000))
    text = _text(await site.page())
    assert "Workspaces running 37 Running 37 Building 2 Pending 3 Stopped 18 Failed 1" in text
    assert "Sessions open 16 VS Code 9 JetBrains 2 Web terminal 1 SSH 4" in text
    assert "Connection latency 14.2 ms, median 95th percentile 121 ms" in text
    assert "Received 73.4 MB Sent 1.83 GB" in text
    assert "Collected from agent reports 12 s ago (21 Sep 14:13 UTC) ; next update in 18 s" in text


async def test_a_member_is_told_kindly(site: Site) -> None:
    """A member is known, sees nothing of the deployment, and can sign out."""
    await site.sign_in(Role.MEMBER)
    await site.snapshot(snapshot_at(MOMENT))
    async with site.client.get("/") as answer:
        text = await answer.text()
    assert answer.status == 403
    assert "This page is not for you" in text
    assert 'action="/signout"' in text
    assert "Workspaces running" not in text


async def test_no_latency_is_said_in_words(site: Site) -> None:
    """Where the API says -1, the page says that none was seen."""
    await site.sign_in()
    await site.snapshot(snapshot_at(MOMENT, latency=-1.0))
    text = _text(await site.page())
    assert "No latency seen" in text
    assert "-1" not in text


async def test_the_first_page_says_what_to_do_next(site: Site) -> None:
    """On an empty store the page gives the command that reports, and the header that makes a site report."""
    await site.sign_in()
    key = await site.key("default")
    text = _text(await site.page())
    assert "The first snapshot is being built." in text
    assert "No violation has been reported yet." in text
    text = _text(await site.page("/setup"))
    base = str(site.client.make_url("")).rstrip("/")
    assert f"Content-Security-Policy-Report-Only: default-src &#39;self&#39;; report-uri {base}/csp/reports?key={key}" in text
    assert "Reporting-Endpoints" not in text  # plain http


async def test_only_live_browser_keys_are_shown(site: Site) -> None:
    """A feed key is secret, and a revoked key opens nothing: neither is on the page."""
    await site.sign_in()
    shown, revoked = await site.key("default"), await site.key("old")
    await site.store.transact(partial(revoke_key, key_id=revoked[:10], now=MOMENT))
    project = await site.store.transact(partial(ensure_project, name="default", now=MOMENT))
    feed = await site.store.transact(
        partial(create_key, project_id=project.id, kind=KeyKind.FEED, deployment=DEPLOYED, now=MOMENT)
    )
    page = await site.page("/setup")
    assert shown in page
    assert revoked[:10] not in page
    assert feed[:10] not in page


async def test_noise_is_hidden_until_it_is_asked_for(site: Site) -> None:
    """What is no fault of the site is left out, and one link shows it among the rest, most reports first."""
    await site.sign_in()
    await site.violation(blocked_origin="https://cdn.example.net", count=5)
    await site.violation(blocked_origin="chrome-extension:", noise_class="browser-extension", count=900)
    without, with_noise = await site.page(), await site.page("/?noise=include")
    assert "chrome-extension:" not in without
    assert 'href="/?noise=include#violations"' in without
    assert "browser-extension" in with_noise
    assert with_noise.index("chrome-extension:") < with_noise.index("https://cdn.example.net")


async def test_what_its_own_policy_seems_to_allow_is_marked(site: Site) -> None:
    """The mark says that a redirect or strict-dynamic may be behind it; the violation is shown like any other."""
    await site.sign_in()
    await site.violation(blocked_origin="https://cdn.example.net", policy_allows=True)
    assert "its policy seems to allow it" in _text(await site.page())


async def test_nothing_but_noise_is_said(site: Site) -> None:
    """A table that is empty because of the filter says so, and how much was left out."""
    await site.sign_in()
    await site.violation(noise_class="browser-extension")
    assert "Nothing but noise so far. 1 violation is no fault of your sites" in _text(await site.page())


async def test_the_history_is_readable_without_scripts(site: Site) -> None:
    """The last values stand in a table, and each range is a link."""
    await site.sign_in()
    for minutes in (50, 30, 10):
        await site.snapshot(snapshot_at(MOMENT - minutes * MINUTE, running=minutes))
    page = await site.page("/?range=1h")
    rows = re.findall(r'<tr><td>([^<]+)</td><td class="number">(\d+)</td>', page)
    assert rows == [("21 Sep 14:03 UTC", "10"), ("21 Sep 13:43 UTC", "30"), ("21 Sep 13:23 UTC", "50")]
    assert '<a href="/#history">24h</a>' in page
    assert '<a href="/?range=1h#history" aria-current="true">1h</a>' in page


@pytest.mark.parametrize("query", ["?range=9999d", "?noise=%3Cscript%3E", "?range=&noise=", "?noise=only&range=7d"])
async def test_any_choice_in_the_address_gives_a_page(site: Site, query: str) -> None:
    """What is no choice counts as none, and is not repeated."""
    await site.sign_in()
    assert "<script>" not in await site.page(f"/{query}")


async def test_the_policy_allows_nothing_inline(site: Site) -> None:
    """Every page is under the strict policy, is not kept, and has neither inline script nor style nor handler."""
    await site.sign_in()
    await site.key("default")
    await site.violation()
    await site.snapshot(snapshot_at(MOMENT))
    async with site.client.get("/") as answer:
        page = await answer.text()
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", page)
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!127\.0\.0\.1)', page)


async def test_hostile_text_stays_text(site: Site) -> None:
    """Markup in any field of a violation or a project comes out as text, wherever a page shows it."""
    await site.sign_in()
    fields = ("effective_directive", "blocked_kind", "blocked_origin", "document_origin", "place", "noise_class")
    await site.violation(**{name: f"{name}{HOSTILE}" for name in fields})
    await site.violation(blocked_origin=None, blocked_kind=f"kind{HOSTILE}", noise_class="localhost")
    page = await site.page("/?noise=include")
    for shown in (*(name for name in fields if name != "blocked_kind"), "kind"):
        assert f"{shown}&#34;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page
    assert "<img src=x" not in page
    assert "{{ 7*7 }}" in page  # a value is no template


@pytest.mark.parametrize("host", ['a"><script>alert(1)</script>', "a:b:c", "x y", "user@example.com"])
async def test_a_host_that_is_none_is_refused(host: str) -> None:
    """The headers to paste are made of the request's own host, so what is no host is not repeated."""
    with pytest.raises(InvalidInput):
        Pages().base_url(make_mocked_request("GET", "/", headers={"Host": host}))


@pytest.mark.parametrize(
    ("listener", "host", "link"),
    [
        ("http://127.0.0.1:2112/metrics", "127.0.0.1:3000", "http://127.0.0.1:2112/metrics"),
        ("http://127.0.0.1:2112/metrics", "collector.example.com", "/metrics"),
        ("http://0.0.0.0:2112/metrics", "collector.example.com:3000", "http://collector.example.com:2112/metrics"),
        ("http://[::]:2112/metrics", "[fd00::1]:3000", "http://[fd00::1]:2112/metrics"),
        (None, "127.0.0.1:3000", "/metrics"),
    ],
)
def test_the_link_to_the_metrics_leads_somewhere(listener: str | None, host: str, link: str) -> None:
    """A reader elsewhere is not sent to their own loopback, nor to 0.0.0.0."""
    assert Pages(metrics_url=listener).metrics_link(make_mocked_request("GET", "/", headers={"Host": host})) == link
