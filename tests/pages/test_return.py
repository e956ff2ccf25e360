"""Whoever signs in comes to the page that was asked for, and never to another site."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.http.auth import TOKEN_NAME
from collector.pages.session import HOME, LONGEST_PATH, local_path
from collector.wire.identity import Role
from tests.pages.conftest import Site

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
BASE = "https://collector.example/signin"
# What a browser takes out of an address before it reads it, and what it takes for a slash.
_IGNORED = re.compile(r"^[\x00-\x20]+|[\x00-\x20]+$|[\t\n\r]")
ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "https://evil.example/",
    "https:evil.example",
    "HTTPS:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "/csp\r\nSet-Cookie: a=b",
    "/csp\x00",
    "/csp\x7f",
    "/\u2028/evil.example",
    "/a\\b",
    "/" + "x" * LONGEST_PATH,
    "",
)


def visited(location: str) -> str:
    """The host that a browser goes to from our page, by the rules of the URL standard for http."""
    read = _IGNORED.sub("", location).replace("\\", "/")
    return urlsplit(urljoin(BASE, read)).netloc


async def signed_in(site: Site, target: str | None) -> str:
    """Where the form with a good token leads."""
    form = {"token": await site.token(Role.OWNER)} | ({} if target is None else {"next": target})
    async with site.client.post("/signin", data=form, headers=SAME_ORIGIN, allow_redirects=False) as answer:
        assert (answer.status, TOKEN_NAME in answer.cookies) == (303, True)
        return answer.headers["Location"]


@pytest.mark.parametrize(
    "path", ["/csp?state=all&text=%22%3E%3Cb", "/csp/policy?project=shop", "/setup", f"/csp/violations/{1:032x}"]
)
async def test_the_form_remembers_the_page(site: Site, path: str) -> None:
    """The page that a link led to is in the form, also after a wrong token, and is where a good one leads."""
    page = await site.page(path)
    [remembered] = re.findall(r'name="next" value="([^"]*)"', page)
    async with site.client.post(
        "/signin", data={"token": "wrong", "next": unescape(remembered)}, headers=SAME_ORIGIN
    ) as answer:
        assert f'name="next" value="{remembered}"' in await answer.text()

    assert await signed_in(site, unescape(remembered)) == path


async def test_without_a_page_it_is_the_overview(site: Site) -> None:
    """So it is for the overview itself, and for a form that was sent too late: nothing is to be done by signing in."""
    assert 'name="next"' not in await site.page()
    async with site.client.post("/csp", data="state=ignored", headers=SAME_ORIGIN) as answer:
        assert 'name="next"' not in await answer.text()
    assert await signed_in(site, None) == HOME


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_no_address_leads_elsewhere(site: Site, target: str) -> None:
    """Another host in any spelling, a script, a control character, or too much: the overview."""
    assert await signed_in(site, target) == HOME


@given(st.text(alphabet=st.sampled_from("/\\\t\n\r\x00 .:@?#%25fhtpsevil-\u2028"), max_size=20) | st.text(max_size=40))
def test_any_text_leads_to_this_host(text: str) -> None:
    """Whatever a link can hold, a browser stays here, and the header stays one line."""
    for path in (text, f"/{text}"):
        found = local_path(path)
        assert visited(found) == "collector.example"
        assert found.isascii()
        assert found.isprintable()
