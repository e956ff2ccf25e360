"""The gate: who is counted, and who is not even looked up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import Connection

from collector.http.access import Access
from collector.http.auth import TRUST_TOKEN_S, Credentials
from collector.http.errors import errors_middleware
from collector.http.forwarded import client_address
from collector.http.guard import Guard
from collector.http.limits import Budget, SlidingWindow
from collector.http.operation import Route
from collector.persist.engine import Store
from collector.persist.meta import FirstSecrets
from collector.wire.identity import Role
from tests.http.conftest import NOW, Clock, TokenOf

T = TypeVar("T")
LIMIT, LOOKUPS = 3, 4
UNKNOWN_KEY = "Bearer 0123456789ABCDEFGHIJKLMNOPQRSTUV"
UNKNOWN_TOKEN = "Bearer abcDEF0123-ABCDEFGHIJKLMNOPQRSTUV"

Client = TestClient[web.Request, web.Application]


class CountedStore:
    """The store, and how often it was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Count it and read."""
        self.reads += 1
        return await self._store.read(work)


@pytest.fixture
def counted(store: Store) -> CountedStore:
    """What the gate reads from."""
    return CountedStore(store)


@pytest.fixture
async def client(counted: CountedStore, clock: Clock) -> AsyncIterator[Client]:
    """A service with a route for feeds and one for readers, three requests a minute each, and four lookups past that."""
    credentials = Credentials(counted, now=lambda: NOW, clock=clock)  # type: ignore[arg-type]
    window = SlidingWindow(LIMIT, clock=lambda: NOW / 1000)
    guard = Guard(credentials, window, address=client_address, lookups=Budget(LOOKUPS, clock))

    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[errors_middleware])
    for access in (Access.FEED, Access.READ):
        app.router.add_post(f"/{access.name}", guard.handler(Route("POST", f"/{access.name}", answer, access)))
    async with TestClient(TestServer(app)) as made:
        yield made


async def statuses(client: TestClient[web.Request, Any], path: str, authorization: str, times: int) -> list[int]:
    """What that many requests are answered."""
    answers = []
    for _ in range(times):
        async with client.post(path, headers={"Authorization": authorization}) as answer:
            answers.append(answer.status)
    return answers


@pytest.mark.parametrize(("path", "unknown"), [("/FEED", UNKNOWN_KEY), ("/FEED", UNKNOWN_TOKEN), ("/READ", UNKNOWN_TOKEN)])
@pytest.mark.usefixtures("secrets")
async def test_past_the_limit_an_unknown_credential_is_not_looked_up(
    client: Client, counted: CountedStore, path: str, unknown: str
) -> None:
    """Each costs one read while the address is within its limit; after it all such addresses share a few."""
    assert await statuses(client, path, unknown, 20) == [401] * LIMIT + [429] * (20 - LIMIT)
    assert counted.reads == LIMIT + LOOKUPS


async def test_a_neighbour_past_the_limit_harms_nobody_who_is_new(client: Client, secrets: FirstSecrets) -> None:
    """Behind the same address a good key and a good token are let in that nobody has used before."""
    for path in ("/FEED", "/READ"):
        assert (await statuses(client, path, UNKNOWN_TOKEN, LIMIT + 1))[-1] == 429

    assert await statuses(client, "/FEED", f"Bearer {secrets.feed_key}", 2 * LIMIT) == [200] * 2 * LIMIT
    assert await statuses(client, "/READ", f"Bearer {secrets.token}", 1) == [200]


async def test_a_neighbour_past_the_limit_harms_nobody_who_is_known(
    client: Client, secrets: FirstSecrets, clock: Clock
) -> None:
    """Behind the same address a key and a token that are remembered go on, also when the trust in the token has run out."""
    key, token = f"Bearer {secrets.feed_key}", f"Bearer {secrets.token}"
    assert await statuses(client, "/FEED", key, 1) + await statuses(client, "/READ", token, 1) == [200, 200]
    for path in ("/FEED", "/READ"):
        assert (await statuses(client, path, UNKNOWN_TOKEN, LIMIT + 1))[-1] == 429

    clock.at = TRUST_TOKEN_S
    assert await statuses(client, "/FEED", key, 2 * LIMIT) == [200] * 2 * LIMIT
    assert await statuses(client, "/READ", token, 1) == [200]


async def test_the_forbidden_are_counted(client: Client, secrets: FirstSecrets, token_of: TokenOf) -> None:
    """A role or a key that does not open the route is refused only so often."""
    member, wrong_kind = f"Bearer {await token_of(Role.MEMBER)}", f"Bearer {secrets.browser_key}"
    assert await statuses(client, "/READ", member, LIMIT + 1) == [403] * LIMIT + [429]
    assert await statuses(client, "/FEED", wrong_kind, LIMIT + 1) == [403] * LIMIT + [429]
