"""Who may call what, proved for every line of the route table."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from collector.http.access import Access
from collector.http.appkeys import STORE
from collector.http.operation import Route
from collector.persist.accounts import create_token, create_user
from collector.routes import ROUTES
from collector.wire.clock import wall_clock
from collector.wire.identity import Role
from tests.inside import Inside, running

REFUSED = {401, 403}
KEYED = [route for route in ROUTES if route.access in (Access.FEED, Access.CSP)]
PUBLIC = [route for route in ROUTES if route.access is Access.PUBLIC]
PRIVATE = [route for route in ROUTES if route.access is not Access.PUBLIC]
ROLES: dict[Access, set[Role]] = {
    Access.SIGNED_IN: set(Role),
    Access.SELF: set(Role),
    Access.READ: {Role.OWNER, Role.AUDITOR},
    Access.PROJECTS: set(Role),
    Access.OWNER: {Role.OWNER},
    Access.FEED: {Role.OWNER},
    Access.CSP: set(Role),
    Access.AGENT: set(),
}


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """One collector for all lines of the table: who may call what is no matter of the database."""
    async with running("sqlite", tmp_path) as collector:
        yield collector


async def status(inside: Inside, route: Route, query: str = "", **headers: str) -> int:
    path = re.sub(r"{.*?}", "x", route.path)
    async with inside.client.request(route.method, path + query, headers=headers, data="[]") as response:
        await response.read()
        return response.status


async def token_of(inside: Inside, role: Role) -> str:
    store = inside.app[STORE]
    user = await store.transact(partial(create_user, username=f"a-{role}", role=role, now=wall_clock()))
    return await store.transact(partial(create_token, user_id=user.id, lifetime_ms=60_000, now=wall_clock()))


async def test_public_routes_need_nothing(inside: Inside) -> None:
    """A public route answers without any credential."""
    for route in PUBLIC:
        assert await status(inside, route) != 401, route


async def test_nothing_private_answers_without_a_credential(inside: Inside) -> None:
    """Every other route refuses a caller that brings nothing, an unknown token or an unknown key."""
    unknown_token, unknown_key = "a" * 10 + "-" + "b" * 22, "c" * 32
    for route in PRIVATE:
        assert await status(inside, route) == 401, route
        assert await status(inside, route, **{"Coder-Session-Token": unknown_token}) == 401, route
        assert await status(inside, route, Authorization=f"Bearer {unknown_key}") == 401, route
        assert await status(inside, route, f"?key={unknown_key}") == 401, route


async def test_roles_open_what_the_table_says(inside: Inside) -> None:
    """An owner's, an auditor's and a member's token each open just the routes of their column."""
    for role in Role:
        token = await token_of(inside, role)
        for route in PRIVATE:
            found = await status(inside, route, **{"Coder-Session-Token": token})

            assert (found not in REFUSED) == (role in ROLES[route.access]), f"{role} at {route}: {found}"


async def test_a_key_of_the_wrong_kind_is_forbidden(inside: Inside) -> None:
    """A browser key opens CSP intake alone and a feed key all other intake; elsewhere each is 403, not 401."""
    browser, feed = inside.secrets.browser_key, inside.secrets.feed_key
    for route in KEYED:
        for_browsers = route.access is Access.CSP

        assert (await status(inside, route, f"?key={browser}") not in REFUSED) == for_browsers, route
        assert (await status(inside, route, Authorization=f"Bearer {feed}") not in REFUSED) == (not for_browsers), route
        assert await status(inside, route, f"?key={feed}") == 403, route
        if not for_browsers:
            assert await status(inside, route, Authorization=f"Bearer {browser}") == 403, route
            assert await status(inside, route, f"?key={browser}") == 403, route


async def test_keys_read_nothing(inside: Inside) -> None:
    """No ingest key opens a route that shows data."""
    for route in PRIVATE:
        if route.access in (Access.READ, Access.PROJECTS):
            assert await status(inside, route, f"?key={inside.secrets.browser_key}") == 401, route
            assert await status(inside, route, Authorization=f"Bearer {inside.secrets.feed_key}") == 401, route
