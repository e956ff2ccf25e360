"""What a page of another site can have done with the cookie of whoever looks at it: nothing."""

from __future__ import annotations

import re

import pytest

from collector.http.access import Access
from collector.http.auth import TOKEN_NAME
from collector.http.guard import READING
from collector.http.operation import Route
from collector.routes import ROUTES
from tests.inside import Inside

FILLED = {"user": "me", "id": "1", "name": "default"}
# An agent is known by a token of another kind, which no browser has.
CHANGING = [route for route in ROUTES if route.method not in READING and route.access is not Access.AGENT]
FOREIGN: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://{host}"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://{host}.evil.example"},
    {"Origin": "http://{host}@evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": "http://[x]"},
    {"Origin": ""},
    {},
)


@pytest.mark.parametrize("route", CHANGING, ids=lambda route: f"{route.method} {route.path}")
async def test_no_route_is_moved_by_another_site(standing: Inside, route: Route) -> None:
    """Of each route that does more than reading: with the owner's cookie, whatever a browser says of where it comes from."""
    path = re.sub(r"{(\w+)}", lambda match: FILLED[match[1]], route.path)
    host = standing.url.partition("//")[2]
    statuses = {}
    for headers in FOREIGN:
        sent = {name: value.format(host=host) for name, value in headers.items()}
        cookie = {"Cookie": f"{TOKEN_NAME}={standing.secrets.token}"}
        async with standing.client.request(route.method, path, data=b"{}", headers=sent | cookie) as answer:
            statuses[str(headers)] = answer.status
            assert not answer.cookies

    assert set(statuses.values()) == {403}, statuses


async def test_our_own_pages_move_them(standing: Inside) -> None:
    """The same cookie from a page of the service is good: what is refused then is the body."""
    headers = {"Cookie": f"{TOKEN_NAME}={standing.secrets.token}", "Sec-Fetch-Site": "same-origin"}
    assert (await standing.post("/api/v2/ingest/agent-stats", "{", **headers))[0] == 400
