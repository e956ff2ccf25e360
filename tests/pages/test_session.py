from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientResponse

from collector.http.auth import TOKEN_NAME
from collector.persist.accounts import is_token
from collector.wire.identity import Role
from tests.inside import running
from tests.pages.conftest import Client, Site

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


async def _sign_in(client: Client, token: str, headers: dict[str, str]) -> ClientResponse:
    return await client.post("/signin", data={"token": token}, headers=headers, allow_redirects=False)


async def test_a_token_becomes_an_http_only_cookie(site: Site) -> None:
    """Signing in leads to the page, with a cookie that no script reads and no other site sends with a form."""
    token = await site.token(Role.OWNER)
    answer = await _sign_in(site.client, f" {token}\n", SAME_ORIGIN)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.cookies[TOKEN_NAME]
    assert is_token(cookie.value)
    assert cookie.value != token
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
    assert "Sign out" in await site.page()


async def test_the_cookie_is_secure_where_the_browser_spoke_https(site: Site) -> None:
    """Behind a proxy that ends TLS the request is plain, but its Origin says that the browser's was not."""
    host = f"{site.client.host}:{site.client.port}"
    answer = await _sign_in(site.client, await site.token(Role.OWNER), SAME_ORIGIN | {"Origin": f"https://{host}"})
    assert answer.cookies[TOKEN_NAME]["secure"] is True


@pytest.mark.parametrize("token", ["nonsense", "a" * 10 + "-" + "b" * 22, "<script>alert(1)</script>", "\x00"])
async def test_a_token_that_is_not_good_shows_the_form_again(site: Site, token: str) -> None:
    """The form says that the token is not good, sets no cookie, and never repeats what was typed."""
    answer = await _sign_in(site.client, token, SAME_ORIGIN)
    text = await answer.text()
    assert answer.status == 401
    assert not answer.cookies
    assert "This token is unknown, expired or revoked." in text
    assert token not in text


async def test_no_token_asks_for_one(site: Site) -> None:
    """An empty form is no attempt to sign in."""
    answer = await _sign_in(site.client, "", SAME_ORIGIN)
    assert answer.status == 400
    assert "Paste a token to sign in." in await answer.text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://{host}"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://{host}.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {},
    ],
)
@pytest.mark.parametrize("path", ["/signin", "/signout"])
async def test_another_site_cannot_sign_anybody_in_or_out(outside: Client, path: str, headers: dict[str, str]) -> None:
    """A form of another site is refused before its token is looked at, and changes no cookie."""
    host = f"{outside.host}:{outside.port}"
    sent = {name: value.format(host=host) for name, value in headers.items()}
    answer = await outside.post(path, data={"token": "Ab3dEf6hIj-Ab3dEf6hIj1lMn0pQr5tUv"}, headers=sent, allow_redirects=False)
    assert answer.status == 403
    assert not answer.cookies


async def test_origin_alone_is_enough_over_plain_http(site: Site) -> None:
    """Browsers send no Sec-Fetch-Site over plain http; the Origin of our own page signs in."""
    host = f"{site.client.host}:{site.client.port}"
    answer = await _sign_in(site.client, await site.token(Role.OWNER), {"Origin": f"http://{host}"})
    assert answer.status == 303


async def test_signing_out_drops_the_cookie(site: Site) -> None:
    """After signing out the page shows the form again."""
    await site.sign_in()
    answer = await site.client.post("/signout", headers=SAME_ORIGIN, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert answer.cookies[TOKEN_NAME]["max-age"] == "0"
    assert 'name="token"' in await site.page()


async def test_signed_out_the_form_says_where_a_token_is_found(site: Site) -> None:
    """Whoever has no cookie, or one that is no longer good, is told how to get in."""
    assert "collector token create --user admin" in await site.page()
    site.client.session.cookie_jar.update_cookies({TOKEN_NAME: "gone-gone"}, site.client.make_url("/"))
    assert 'name="token"' in await site.page()


async def test_a_session_that_was_signed_out_of_is_over(site: Site) -> None:
    """Whoever has kept a copy of the cookie finds the form."""
    answer = await _sign_in(site.client, await site.token(Role.OWNER), SAME_ORIGIN)
    kept = answer.cookies[TOKEN_NAME].value
    await site.client.post("/signout", headers=SAME_ORIGIN, allow_redirects=False)
    site.client.session.cookie_jar.update_cookies({TOKEN_NAME: kept}, site.client.make_url("/"))

    assert 'name="token"' in await site.page()


async def test_no_cookie_of_somebody_elses_making_becomes_a_session(site: Site) -> None:
    """What a visitor's browser was given before signing in is not what it is signed in by, be it good or not."""
    token = await site.token(Role.OWNER)
    for planted in ("a" * 10 + "-" + "b" * 22, await site.token(Role.AUDITOR)):
        site.client.session.cookie_jar.update_cookies({TOKEN_NAME: planted}, site.client.make_url("/"))
        answer = await _sign_in(site.client, token, SAME_ORIGIN)
        assert answer.cookies[TOKEN_NAME].value != planted
        await site.client.post("/signout", headers=SAME_ORIGIN, allow_redirects=False)


async def test_guessing_at_the_form_is_slowed_down(tmp_path: Path) -> None:
    """After as many tries within a minute as any route may have, the form is a 429, and a good token is none either."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="5") as inside:
        tries = ["a" * 10 + "-" + f"{number:022d}" for number in range(5)] + [inside.secrets.token]
        statuses = []
        for token in tries:
            async with inside.client.post("/signin", data={"token": token}, headers=SAME_ORIGIN) as answer:
                statuses.append(answer.status)

    assert statuses == [401] * 5 + [429]


BEHIND_A_PROXY = {"CODER_PROXY_TRUSTED_ORIGINS": "127.0.0.0/8", "CODER_PROXY_TRUSTED_HEADERS": "X-Forwarded-For"}
ONE_NETWORK = [f"2001:db8:1:2:{number:x}::1" for number in range(6)]
MANY_NETWORKS = [f"2001:db8:1:{number:x}::1" for number in range(6)]


@pytest.mark.parametrize(
    ("proxy", "addresses", "last"),
    [(BEHIND_A_PROXY, ONE_NETWORK, 429), (BEHIND_A_PROXY, MANY_NETWORKS, 401), ({}, MANY_NETWORKS, 429)],
    ids=["one network", "many networks", "nobody is trusted"],
)
async def test_who_guesses_is_told_apart_by_network(
    tmp_path: Path, proxy: dict[str, str], addresses: list[str], last: int
) -> None:
    """All addresses of an IPv6 /64 are one guesser, and what somebody says of its own address counts for nothing."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="5", **proxy) as inside:
        statuses = []
        for address in addresses:
            headers = SAME_ORIGIN | {"X-Forwarded-For": address}
            async with inside.client.post("/signin", data={"token": "a" * 10 + "-" + "b" * 22}, headers=headers) as answer:
                statuses.append(answer.status)

    assert statuses == [401] * 5 + [last]
