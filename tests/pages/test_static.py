from __future__ import annotations

import pytest
from yarl import URL

from collector.pages.assets import CONTENT_TYPES, Assets, load_assets
from tests.pages.conftest import Client


@pytest.mark.parametrize(("name", "content_type"), sorted(CONTENT_TYPES.items()))
async def test_every_file_has_its_type_and_is_kept_for_ever(outside: Client, name: str, content_type: str) -> None:
    """A file is served with the type it is of, under an address that its content decides, and may be kept."""
    async with outside.get(load_assets().url(name)) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == f"{content_type}; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_browser_that_has_the_file_is_told_so(outside: Client) -> None:
    """The ETag of an answer, sent back, brings a 304 without a body."""
    url = load_assets().url("page.css")
    async with outside.get(url) as first:
        tag = first.headers["ETag"]
    async with outside.get(url, headers={"If-None-Match": tag}) as second:
        assert second.status == 304
        assert await second.read() == b""
    async with outside.get(url, headers={"If-None-Match": 'W/"0123456789abcdef"'}) as third:
        assert third.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/{digest}/../../templates/base.html",
        "/static/{digest}/%2e%2e/page.py",
        "/static/{digest}/..%2f..%2fpage.py",
        "/static/{digest}//etc/passwd",
        "/static/{digest}/vendor/uplot/",
        "/static/0000000000000000/page.css",
        "/static/{digest}/page.js",
    ],
)
async def test_only_listed_addresses_are_served(outside: Client, path: str) -> None:
    """No address leads out of the list: not upwards, not to a directory, not with another file's hash."""
    digest = load_assets().url("page.css").split("/")[2]
    async with outside.get(URL(path.format(digest=digest), encoded=True)) as answer:
        assert answer.status == 404


def test_an_address_changes_with_the_content() -> None:
    """What a browser keeps for ever is never asked for again, so another content must have another address."""
    assert Assets({"page.css": b"a"}).url("page.css") != Assets({"page.css": b"b"}).url("page.css")
