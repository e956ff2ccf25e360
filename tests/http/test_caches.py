"""What caches on the way may keep: no answer that depends on who asks, and no refusal."""

from __future__ import annotations

import itertools
import re

from collector.http.auth import TOKEN_NAME
from collector.pages.assets import FOREVER, load_assets
from collector.routes import ROUTES
from tests.http.test_connection import answer
from tests.inside import Inside

FILLED = {"user": "me", "id": "1", "name": "default", "digest": "0"}


async def test_no_answer_is_kept_on_the_way(standing: Inside) -> None:
    """Each route, known and not, for its owner and for nobody, and what nobody routes: no cache is to keep it."""
    paths = {re.sub(r"{(\w+)(:[^}]*)?}", lambda m: FILLED[m[1]], route.path) for route in ROUTES if route.method == "GET"}
    assert len(paths) > 40
    kept = []
    for path, headers in itertools.product([*sorted(paths), "/nowhere", "/api/v2/nowhere"], ({}, standing.owner)):
        async with standing.client.get(path, headers=headers) as response:
            if response.headers.getall("Cache-Control", []) != ["no-store"]:
                kept.append((path, response.status))

    assert kept == []


async def test_no_page_is_shown_within_another(standing: Inside) -> None:
    """Each route that answers with a page says that nobody may frame it, or clicks would be led astray."""
    pages = 0
    for route, headers in itertools.product(ROUTES, ({}, {"Cookie": f"{TOKEN_NAME}={standing.secrets.token}"})):
        path = re.sub(r"{(\w+)(:[^}]*)?}", lambda m: FILLED[m[1]], route.path)
        async with standing.client.request(route.method, path, headers=headers) as response:
            if response.content_type == "text/html":
                pages += 1
                assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"], path

    assert pages > 25


async def test_no_refusal_before_the_application_is_kept(standing: Inside) -> None:
    """A URL that is too long is a 414, which a cache might keep by itself."""
    status, headers, _ = await answer(standing.url, b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 9000))
    assert (status, headers["cache-control"]) == (414, "no-store")


async def test_what_may_be_kept_says_what_it_depends_on(standing: Inside) -> None:
    """A static file is kept for ever, plain for who asked for it plain and compressed for who can read that."""
    url = load_assets().url("page.css")
    bodies = {}
    for coding in ("identity", "gzip"):
        async with standing.client.get(url, headers={"Accept-Encoding": coding}) as response:
            bodies[coding] = await response.read()
            assert response.headers["Cache-Control"] == FOREVER
            assert "Accept-Encoding" in ", ".join(response.headers.getall("Vary"))
            assert response.headers.get("Content-Encoding", "identity") == coding

    assert bodies["gzip"] == bodies["identity"]  # the client has inflated it


async def test_no_host_that_somebody_names_is_in_what_others_get(standing: Inside) -> None:
    """The pages lead to the host that was asked for, for that visitor alone; one that is no host is in none."""
    for host, status in (("evil.example", 200), ('evil.example"><script>', 400), ("evil.example\r", 400)):
        code, headers, body = await answer(
            standing.url,
            b"GET / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: worse.example\r\nConnection: close\r\n\r\n" % host.encode(),
        )
        assert (code, headers["cache-control"]) == (status, "no-store")
        assert b"worse.example" not in body
        assert b"<script>" not in body
