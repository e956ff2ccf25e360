"""Who may call what."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from collector.http.access import Access, authorize
from collector.http.auth import Credentials
from collector.http.errors import errors_middleware, json_response
from collector.persist.meta import FirstSecrets
from collector.wire.identity import Agent, Role, Scope, User
from tests.http.conftest import TokenOf

Client = TestClient[web.Request, web.Application]

TAKES_USERS = (Access.SIGNED_IN, Access.SELF, Access.READ, Access.OWNER)
SCOPE = Scope.DEPLOYMENT_STATS  # what the routes that read ask of a token with scopes


@pytest.fixture
async def client(credentials: Credentials) -> AsyncIterator[Client]:
    """A service with one route for each row of the table: it says who called."""
    app = web.Application(middlewares=[errors_middleware])
    for access in Access:

        async def who(request: web.Request, access: Access = access) -> web.Response:
            caller = await authorize(request, access, credentials, scope=SCOPE if access is Access.READ else None)
            if caller is None:
                return json_response("nobody")
            if isinstance(caller, Agent):
                return json_response(caller.agent_name)
            return json_response(caller.username if isinstance(caller, User) else f"{caller.project}: {caller.kind}")

        app.router.add_post(f"/{access.name}", who)
    async with TestClient(TestServer(app)) as made:
        yield made


async def status_of(client: Client, access: Access, query: str = "", **headers: str) -> int:
    """What the route answers."""
    async with client.post(f"/{access.name}{query}", headers=headers) as answer:
        return answer.status


async def test_a_user_may_what_the_role_says(client: Client, token_of: TokenOf) -> None:
    """Every role at every route."""
    may = {
        Role.OWNER: set(Access) - {Access.AGENT},
        Role.AUDITOR: {Access.PUBLIC, Access.SIGNED_IN, Access.SELF, Access.READ, Access.PROJECTS, Access.CSP},
        Role.MEMBER: {Access.PUBLIC, Access.SIGNED_IN, Access.SELF, Access.PROJECTS, Access.CSP},
    }
    for role, allowed in may.items():
        token = await token_of(role)
        statuses = {access: await status_of(client, access, Authorization=f"Bearer {token}") for access in Access}
        refused = {access: 401 if access is Access.AGENT else 403 for access in Access}  # an agent's token is no user's
        assert statuses == {access: 200 if access in allowed else refused[access] for access in Access}


async def test_nobody_may_what_is_public(client: Client) -> None:
    """Without a credential all else is 401, with a challenge for whoever can answer one."""
    for access in Access:
        async with client.post(f"/{access.name}") as answer:
            assert answer.status == (200 if access is Access.PUBLIC else 401)
            assert ("WWW-Authenticate" in answer.headers) == (access not in (Access.PUBLIC, Access.CSP))


async def test_a_member_is_refused_in_coders_words(client: Client, token_of: TokenOf) -> None:
    """Its clients show them; a refusal of the role has no challenge."""
    async with client.post("/READ", headers={"Coder-Session-Token": await token_of(Role.MEMBER)}) as answer:
        assert (answer.status, await answer.json()) == (
            403,
            {
                "message": "Forbidden.",
                "detail": "You don't have permission to view this content. If you believe this is a mistake, please contact"
                " your administrator or try signing in with different credentials.",
            },
        )
        assert "WWW-Authenticate" not in answer.headers


async def test_a_token_with_scopes_opens_just_them(client: Client, token_of: TokenOf) -> None:
    """Even an owner's: what any signed-in user may see, and the reads it names; nothing is changed or brought in with it."""
    narrow, other = await token_of(Role.OWNER, SCOPE), await token_of(Role.OWNER, Scope.METRICS)
    opened = {
        token: {access for access in Access if await status_of(client, access, Authorization=f"Bearer {token}") == 200}
        for token in (narrow, other)
    }
    assert opened == {narrow: {Access.PUBLIC, Access.SIGNED_IN, Access.READ}, other: {Access.PUBLIC, Access.SIGNED_IN}}

    async with client.post("/OWNER", headers={"Authorization": f"Bearer {narrow}"}) as answer:
        assert (answer.status, (await answer.json())["message"]) == (403, "Forbidden.")


async def test_scopes_widen_no_role(client: Client, token_of: TokenOf) -> None:
    """A member's token with a scope reads no more than the member."""
    assert await status_of(client, Access.READ, Authorization=f"Bearer {await token_of(Role.MEMBER, SCOPE)}") == 403


async def test_a_feed_key_opens_feeds(client: Client, secrets: FirstSecrets) -> None:
    """As Bearer, and as a Basic password with any user name."""
    async with client.post("/FEED", headers={"Authorization": f"Bearer {secrets.feed_key}"}) as answer:
        assert await answer.json() == "default: feed"
    for user in ("", "collector", "a b"):
        async with client.post("/FEED", headers={"Authorization": encode_basic_auth(user, secrets.feed_key)}) as answer:
            assert await answer.json() == "default: feed"


async def test_a_browser_key_opens_csp_reports_by_its_url(client: Client, secrets: FirstSecrets) -> None:
    """In ?key=, and nowhere else."""
    async with client.post(f"/CSP?key={secrets.browser_key}") as answer:
        assert await answer.json() == "default: browser"
    assert await status_of(client, Access.CSP, Authorization=f"Bearer {secrets.browser_key}") == 401


async def test_a_key_of_the_wrong_kind_is_forbidden(client: Client, secrets: FirstSecrets) -> None:
    """On every route that takes keys, wherever the key stands; a feed key in a URL is not even good for feeds."""
    ways_in = {
        "feed key as Bearer": ("", f"Bearer {secrets.feed_key}"),
        "feed key as Basic": ("", encode_basic_auth("", secrets.feed_key)),
        "feed key in the URL": (f"?key={secrets.feed_key}", ""),
        "browser key as Bearer": ("", f"Bearer {secrets.browser_key}"),
        "browser key as Basic": ("", encode_basic_auth("", secrets.browser_key)),
        "browser key in the URL": (f"?key={secrets.browser_key}", ""),
    }
    statuses = {
        (access, way): await status_of(client, access, query, **({"Authorization": header} if header else {}))
        for access in (Access.CSP, Access.FEED)
        for way, (query, header) in ways_in.items()
    }
    assert {entry for entry, status in statuses.items() if status == 200} == {
        (Access.CSP, "browser key in the URL"),
        (Access.FEED, "feed key as Bearer"),
        (Access.FEED, "feed key as Basic"),
    }
    assert {entry for entry, status in statuses.items() if status == 401} == {
        (Access.CSP, "browser key as Bearer"),
        (Access.CSP, "browser key as Basic"),
    }
    assert set(statuses.values()) == {200, 401, 403}


async def test_keys_open_no_other_route(client: Client, secrets: FirstSecrets) -> None:
    """Where users are asked for, a key is no credential at all."""
    for access in TAKES_USERS:
        for key in (secrets.feed_key, secrets.browser_key):
            assert await status_of(client, access, Authorization=f"Bearer {key}") == 401
            assert await status_of(client, access, f"?key={key}") == 401


async def test_an_unknown_key_is_unauthorized(client: Client) -> None:
    """Of the right shape or not, and a token beside it does not count."""
    for key in ("0123456789ABCDEFGHIJKLMNOPQRSTUV", "hunter2", "abcDEF0123-ABCDEFGHIJKLMNOPQRSTUV"):
        for access in (Access.CSP, Access.FEED):
            assert await status_of(client, access, f"?key={key}") == 401
            assert await status_of(client, access, Authorization=f"Bearer {key}") == 401
            assert await status_of(client, access, Authorization=encode_basic_auth("", key)) == 401


async def test_the_cookie_beats_the_header(client: Client, token_of: TokenOf) -> None:
    """An owner's header does not lift a member's cookie."""
    member, owner = await token_of(Role.MEMBER), await token_of(Role.OWNER)
    headers = {"Cookie": f"coder_session_token={member}", "Coder-Session-Token": owner}
    assert await status_of(client, Access.OWNER, **headers) == 403
