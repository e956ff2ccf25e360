"""The pages about violations: the list to decide on, one violation, and its state."""

from __future__ import annotations

import re
from functools import partial

import pytest
from sqlalchemy import select

from collector.http.auth import TOKEN_NAME
from collector.persist.accounts import create_token, create_user
from collector.persist.engine import Store
from collector.persist.members import set_members
from collector.persist.projects import ensure_project
from collector.persist.tables import violations
from collector.wire.identity import Role
from tests.pages.conftest import DAY, MOMENT, Site

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


def blocked(page: str) -> list[str]:
    """What each row of the list says was blocked, in order."""
    return re.findall(r'data-label="Blocked">\s*<code>([^<]*)</code>', page)


async def state_of(store: Store, fingerprint: str) -> str:
    return await store.read(lambda c: c.scalar(select(violations.c.state).where(violations.c.fingerprint == fingerprint)) or "")


async def test_the_list_begins_with_what_is_open(site: Site) -> None:
    """Open violations without noise, the most reported first; the rest is one link away."""
    await site.sign_in()
    await site.violation(blocked_origin="https://few.example", ranked_count=2)
    await site.violation(blocked_origin="https://many.example", ranked_count=9)
    await site.violation(blocked_origin="https://done.example", state="resolved")
    await site.violation(blocked_origin="chrome-extension:", noise_class="browser-extension")

    page = await site.page("/csp")

    assert blocked(page) == ["https://many.example", "https://few.example"]
    assert "2 violations" in page
    assert '<a href="/csp?state=resolved">Resolved</a>' in page
    assert blocked(await site.page("/csp?state=resolved")) == ["https://done.example"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("directive=font-src", ["https://fonts.example"]),
        ("text=FONTS", ["https://fonts.example"]),
        ("project=shop", ["https://shop-only.example"]),
        ("noise=localhost", ["http://localhost"]),
        ("noise=browser-extension", []),
        ("seen=1h", ["https://shop-only.example", "https://fonts.example"]),
        ("state=ignored", ["https://old.example"]),
    ],
)
async def test_each_filter_narrows_the_list(site: Site, query: str, found: list[str]) -> None:
    """Directive, text, project, noise class, time and state each leave what they name."""
    await site.sign_in()
    shop = await site.store.transact(partial(ensure_project, name="shop", now=MOMENT))
    fonts = "https://fonts.example"
    await site.violation(blocked_origin=fonts, blocked_key=fonts, effective_directive="font-src")
    await site.violation(blocked_origin="https://shop-only.example", project_id=shop.id)
    await site.violation(blocked_origin="http://localhost", noise_class="localhost")
    await site.violation(blocked_origin="https://old.example", last_seen=MOMENT - DAY, state="ignored")

    assert blocked(await site.page(f"/csp?{query}")) == found


async def test_pages_follow_one_another(site: Site) -> None:
    """Fifty to a page; the links lead through all of them, each met once."""
    await site.sign_in()
    for number in range(120):
        await site.violation(blocked_origin=f"https://n{number}.example", ranked_count=number)
    seen: list[str] = []
    path: str | None = "/csp"
    while path:
        page = await site.page(path)
        seen += blocked(page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = following[1].replace("&amp;", "&") if following else None

    assert seen == [f"https://n{number}.example" for number in reversed(range(120))]


async def test_an_empty_list_says_what_to_do(site: Site) -> None:
    """Without any violation the page leads to the setup; with filters it leads to all of them."""
    await site.sign_in()
    assert "set up a site" in await site.page("/csp")
    assert "No violation matches." in await site.page("/csp?text=nothing")


@pytest.mark.parametrize("query", ["state=%00", "sort=x", "noise=%3Cb%3E", "seen=9y", "project=%27%22%3E", "text=%25_"])
async def test_any_filter_in_the_address_gives_a_page(site: Site, query: str) -> None:
    """What is no choice of a list counts as none."""
    await site.sign_in()
    await site.page(f"/csp?{query}")


async def test_a_broken_cursor_is_refused_as_a_page(site: Site) -> None:
    """The refusal says what is wrong, in HTML, under the strict policy."""
    await site.sign_in()
    async with site.client.get("/csp?after=nonsense") as answer:
        assert answer.status == 400
        assert "That did not work" in await answer.text()
        assert "require-trusted-types-for" in answer.headers["Content-Security-Policy"]


async def test_one_violation_has_its_chart_and_its_table(site: Site) -> None:
    """The page of a violation draws bars on the server, has each range as a link, and offers what an owner may decide."""
    await site.sign_in()
    await site.violation(blocked_origin="https://cdn.example.net")

    page = await site.page(f"/csp/violations/{0:032x}")

    assert '<svg viewBox="0 0 ' in page
    assert '<a href="?range=7d#reports" aria-current="true">7d</a>' in page
    assert re.findall(r'name="state" value="(\w+)"', page) == ["acknowledged", "ignored", "resolved"]


async def test_an_unknown_violation_is_a_404_page(site: Site) -> None:
    """So is whatever else an address may hold."""
    await site.sign_in()
    for name in ("f" * 32, "%00", "%3Cscript%3E"):
        async with site.client.get(f"/csp/violations/{name}") as answer:
            assert answer.status == 404
            assert "There is no such violation." in await answer.text()


async def test_an_owner_decides(site: Site) -> None:
    """The form sets the state and keeps the note; the page then shows who did it."""
    await site.sign_in()
    await site.violation()
    path = f"/csp/violations/{0:032x}"
    async with site.client.post(path, data="state=ignored&note=not+ours", headers=FORM, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"{path}#state")

    assert await state_of(site.store, f"{0:032x}") == "ignored"
    page = await site.page(path)
    assert "<strong>a-owner</strong>: open → ignored" in page
    assert "not ours" in page


async def test_another_site_changes_nothing(site: Site) -> None:
    """A form of another site, sent with the owner's cookie, is refused."""
    await site.sign_in()
    await site.violation()
    foreign = {**FORM, "Sec-Fetch-Site": "cross-site"}
    async with site.client.post(f"/csp/violations/{0:032x}", data="state=ignored", headers=foreign) as answer:
        assert answer.status == 403
    assert await state_of(site.store, f"{0:032x}") == "open"


@pytest.mark.parametrize("body", ["state=gone", "", "note=x", "state=ignored&note=" + "x" * 1_001])
async def test_a_form_that_cannot_be_used_changes_nothing(site: Site, body: str) -> None:
    """No such state, no state at all, or a note that is too long."""
    await site.sign_in()
    await site.violation()
    async with site.client.post(f"/csp/violations/{0:032x}", data=body, headers=FORM) as answer:
        assert answer.status == 400
    assert await state_of(site.store, f"{0:032x}") == "open"


async def test_an_auditor_reads_and_does_not_decide(site: Site) -> None:
    """The form is not shown, and sending it all the same is refused."""
    await site.sign_in(Role.AUDITOR)
    await site.violation()
    assert '<form class="decide"' not in await site.page(f"/csp/violations/{0:032x}")
    async with site.client.post(f"/csp/violations/{0:032x}", data="state=ignored", headers=FORM) as answer:
        assert answer.status == 403
    assert await state_of(site.store, f"{0:032x}") == "open"


async def test_a_member_sees_its_projects_alone(site: Site) -> None:
    """The list, its choice of projects and a single violation keep to the projects that the member was named for."""
    store = site.store
    member = await store.transact(partial(create_user, username="mia", role=Role.MEMBER, now=MOMENT))
    shop = await store.transact(partial(ensure_project, name="shop", now=MOMENT))
    await store.transact(partial(set_members, project_id=shop.id, user_ids=[member.id]))
    await site.violation(blocked_origin="https://default.example")
    await site.violation(blocked_origin="https://shop.example", project_id=shop.id)
    token = await store.transact(partial(create_token, user_id=member.id, lifetime_ms=DAY, now=MOMENT))
    site.client.session.cookie_jar.update_cookies({TOKEN_NAME: token}, site.client.make_url("/"))

    page = await site.page("/csp")

    assert blocked(page) == ["https://shop.example"]
    assert "<option>default" not in page
    assert 'href="/setup"' not in page
    async with site.client.get(f"/csp/violations/{0:032x}") as answer:
        assert answer.status == 404
    for path in ("/csp/noise", "/aibridge", "/setup"):
        async with site.client.get(path) as answer:
            assert answer.status == 403


async def test_a_stranger_finds_the_form_on_every_page(site: Site) -> None:
    """Signed out, each page is the form to sign in and shows nothing else."""
    await site.violation(blocked_origin="https://cdn.example.net")
    for path in ("/csp", f"/csp/violations/{0:032x}", "/csp/policy", "/csp/noise", "/aibridge", "/setup"):
        page = await site.page(path)
        assert 'action="/signin"' in page
        assert "cdn.example.net" not in page
