"""Paths and queries that are made to hurt: no route answers one with an error of ours, and none leads to a file."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from yarl import URL

from collector.config.shape import config_type
from collector.entrance import VERSION
from collector.http.operation import Route
from collector.routes import ROUTES
from collector.serve.openapi import document
from tests.inside import Inside

DOCUMENT = document(ROUTES, VERSION, config_type())
# Of the pages, whose queries no document describes.
BY_PAGES = (
    "since",
    "range",
    "state",
    "noise",
    "text",
    "project",
    "directive",
    "after",
    "sort",
    "changed",
    "to",
    "policy",
    "days",
)
VALUES = (
    *(
        "'%20OR%20'1'='1",
        "count;DROP%20TABLE%20violations--",
        "%25%27%5C",
        "%00",
        "a%00b",
        "%0d%0aSet-Cookie:%20a=b",
        "%ed%a0%80",
    ),
    *("%zz", "9" * 5000, "-9223372036854775809", "1e400", "%D9%A3", "9999-12-31T23:59:59.999999999-23:59", "99999999999", "[]"),
)
PLACES = (
    *("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "%252e%252e%252f", "..%5c..%5c", "..%c0%af", "//evil.example"),
)
ASKED = [route for route in ROUTES if route.method == "GET"]
NAMED = [route for route in ROUTES if "{" in route.path]
SET_BY = re.compile(r"(?i)set-cookie|evil\.example")


def queries(route: Route) -> Iterator[str]:
    """The names of the parameters of ``route``."""
    described = DOCUMENT["paths"].get(route.path, {}).get("get")
    if described is None:
        yield from BY_PAGES
    else:
        yield from (each["name"] for each in described.get("parameters", ()) if each["in"] == "query")


async def assert_sound(standing: Inside, route: Route, address: str) -> None:
    """A refusal in words, or an answer; no header that was asked for, and no file of this machine."""
    headers = standing.owner | {"Cookie": f"coder_session_token={standing.secrets.token}", "Sec-Fetch-Site": "same-origin"}
    body = None if route.method == "GET" else b"{}"
    url = URL(standing.url + address, encoded=True)
    async with standing.client.request(route.method, url, data=body, headers=headers, allow_redirects=False) as response:
        text = await response.text()
        assert response.status < 500, (address, text)
        assert "Set-Cookie" not in response.headers
        assert not SET_BY.search(response.headers.get("Location", ""))
    assert "root:x:0:0" not in text


@pytest.mark.slow
@pytest.mark.parametrize("route", ASKED, ids=lambda route: route.path)
async def test_no_query_is_an_error_of_ours(standing: Inside, route: Route) -> None:
    """Each parameter of each route with each value, on both databases: SQL, numbers, times and bytes."""
    path = re.sub(r"{\w+(:[^}]*)?}", "1", route.path)
    for name in queries(route):
        for value in VALUES:
            await assert_sound(standing, route, f"{path}?{name}={value}")


@pytest.mark.slow
@pytest.mark.parametrize("route", NAMED, ids=lambda route: f"{route.method} {route.path}")
async def test_no_path_is_an_error_of_ours(standing: Inside, route: Route) -> None:
    """The same, and what leads elsewhere in a file system, in the place of each name and each id."""
    for value in (*VALUES, *PLACES):
        address = re.sub(r"{\w+(:[^}]*)?}", value, route.path)
        await assert_sound(standing, route, address)
