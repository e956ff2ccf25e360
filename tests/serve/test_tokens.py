"""Tokens over the API: who sees and changes whose, and what a new one opens."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import pytest

from collector.http.appkeys import STORE
from collector.persist.accounts import create_token, create_user
from collector.wire.clock import wall_clock
from collector.wire.identity import Role, User
from tests.inside import Inside

STATS_ONLY = "deployment_stats:read"
HOUR_NS = 3_600_000_000_000


def tokens_of(user: str) -> str:
    return f"/api/v2/users/{user}/keys/tokens"


async def made(inside: Inside, name: str, role: Role) -> tuple[User, dict[str, str]]:
    """A new user, and the header that makes a request its own."""
    store = inside.app[STORE]
    user = await store.transact(partial(create_user, username=name, role=role, now=wall_clock()))
    token = await store.transact(partial(create_token, user_id=user.id, lifetime_ms=600_000, now=wall_clock()))
    return user, {"Coder-Session-Token": token}


async def asked(inside: Inside, method: str, path: str, headers: dict[str, str], json: Any = None) -> tuple[int, Any]:
    async with inside.client.request(method, path, headers=headers, json=json) as response:
        return response.status, await response.json() if response.status != 204 else None


async def test_a_token_is_made_listed_and_ended(inside: Inside) -> None:
    """It works at once, is listed without its secret, and is gone from the list once it is ended."""
    _, ada = await made(inside, "ada", Role.AUDITOR)
    status, answer = await asked(inside, "POST", tokens_of("me"), ada, {"token_name": "grafana", "lifetime": HOUR_NS})
    assert status == 201
    token_id = answer["key"].partition("-")[0]
    new = {"Coder-Session-Token": answer["key"]}

    _, listed = await asked(inside, "GET", tokens_of("me"), new)
    (entry,) = [token for token in listed if token["id"] == token_id]
    assert len(listed) == 2
    assert (entry["token_name"], entry["scopes"], entry["lifetime_seconds"]) == ("grafana", [], 3_600)
    assert answer["key"].partition("-")[2] not in str(listed)

    assert await asked(inside, "DELETE", f"{tokens_of('me')}/{token_id}", ada) == (204, None)
    _, listed = await asked(inside, "GET", tokens_of("me"), ada)
    assert token_id not in {token["id"] for token in listed}


async def test_a_token_with_scopes_opens_what_they_name(inside: Inside) -> None:
    """An owner's token for the stats reads the stats and what anybody signed in may see, and makes no wider token."""
    status, answer = await asked(inside, "POST", tokens_of("me"), inside.owner, {"scopes": [STATS_ONLY]})
    assert status == 201
    narrow = {"Coder-Session-Token": answer["key"]}
    statuses = {
        path: (await asked(inside, "GET", path, narrow))[0]
        for path in (
            f"{tokens_of('me')}/tokenconfig",
            "/api/v2/deployment/stats/history",
            "/api/v2/csp/violations",
            tokens_of("me"),
        )
    }

    assert list(statuses.values()) == [200, 200, 403, 403]
    assert (await asked(inside, "POST", tokens_of("me"), narrow, {}))[0] == 403
    assert (await asked(inside, "POST", "/api/v2/ingest/workspaces", narrow, []))[0] == 403
    async with inside.client.get("/", headers={"Cookie": f"coder_session_token={answer['key']}"}) as page:
        assert 'action="/signin"' in await page.text()
    from_here = {"Sec-Fetch-Site": "same-origin"}
    async with inside.client.post("/signin", data={"token": answer["key"]}, headers=from_here) as refused:
        assert (refused.status, "has scopes" in await refused.text()) == (403, True)


async def test_a_member_sees_nobody_but_itself(inside: Inside) -> None:
    """By id, by name in any case, and as "me"; others look as if they did not exist, as Coder says it."""
    ada, header = await made(inside, "ada", Role.MEMBER)
    bob, _ = await made(inside, "bob", Role.MEMBER)
    for name in ("me", "ADA", ada.id, ada.id.upper(), UUID(ada.id).hex, UUID(ada.id).urn, UUID(ada.id).urn.upper()):
        assert (await asked(inside, "GET", tokens_of(name), header))[0] == 200, name
    for name in ("bob", bob.id, "nobody", "Me", "a%22b", "%FF"):
        for method, path in (("GET", tokens_of(name)), ("GET", f"{tokens_of(name)}/tokenconfig"), ("POST", tokens_of(name))):
            status, answer = await asked(inside, method, path, header)
            assert (status, answer["message"]) == (400, '"user" must be an existing uuid or username.'), path
    _, answer = await asked(inside, "GET", tokens_of("a%22b"), header)
    assert answer["detail"] == 'queried user="a\\"b"'


async def test_an_owner_changes_everybodys_and_an_auditor_sees_them(inside: Inside) -> None:
    """A token in another's list is ended only by way of that user."""
    ada, member = await made(inside, "ada", Role.MEMBER)
    _, auditor = await made(inside, "eve", Role.AUDITOR)
    path = f"{tokens_of('ada')}/{member['Coder-Session-Token'].partition('-')[0]}"

    assert (await asked(inside, "GET", tokens_of("ada"), auditor))[0] == 200
    assert (await asked(inside, "POST", tokens_of(ada.id), auditor, {}))[0] == 403
    assert (await asked(inside, "DELETE", path, auditor))[0] == 403
    assert (await asked(inside, "DELETE", path.replace("/ada/", "/me/"), inside.owner))[0] == 404
    assert (await asked(inside, "DELETE", path, inside.owner))[0] == 204
    assert (await asked(inside, "POST", tokens_of("ada"), inside.owner, {}))[0] == 201


@pytest.mark.parametrize(("name", "limit"), [("ada", 3_155_760_000_000_000_000), ("admin", 604_800_000_000_000)])
async def test_the_limit_is_that_of_the_user(inside: Inside, name: str, limit: int) -> None:
    """An owner's own by default is a week; a nanosecond more than the limit is refused."""
    await made(inside, "ada", Role.MEMBER)
    assert await asked(inside, "GET", f"{tokens_of(name)}/tokenconfig", inside.owner) == (200, {"max_token_lifetime": limit})

    statuses = [
        (await asked(inside, "POST", tokens_of(name), inside.owner, {"lifetime": lifetime}))[0]
        for lifetime in (limit, limit + 1, 1)
    ]
    assert statuses == [201, 400, 400]


async def test_another_site_changes_nothing_with_a_visitors_cookie(inside: Inside) -> None:
    """A request with the cookie has to come from a page of the service."""
    cookie = {"Cookie": f"coder_session_token={inside.secrets.token}"}
    for sent, expected in (
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
    ):
        assert (await asked(inside, "POST", tokens_of("me"), cookie | sent, {}))[0] == expected
