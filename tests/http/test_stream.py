"""Bodies of any length, line by line."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from collector.http import stream
from collector.http.errors import errors_middleware, json_response
from collector.wire.errors import InvalidReport

LONGEST = 1_000
ZIPPED = gzip.compress(b"abc\n", mtime=0)
BOMB = gzip.compress(bytes(50_000_000))  # 49 KB of one line

Client = TestClient[web.Request, web.Application]


async def lengths(request: web.Request) -> web.Response:
    """The lengths of all lines, null for one that is too long."""
    found = [line async for lines in stream.lines(request, longest=LONGEST) for line in lines]
    return json_response([None if line is None else len(line) for line in found])


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A service that reads lines."""
    app = web.Application(middlewares=[errors_middleware])
    app.router.add_post("/lines", lengths)
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    async with TestClient(server) as made:
        yield made


async def answer(client: Client, body: bytes, encoding: str | None = None) -> tuple[int, object]:
    """Status and JSON."""
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    async with client.post("/lines", data=body, headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", []),
        (b"a", [1]),
        (b"a\n", [1]),
        (b"a\n\nbcd", [1, 0, 3]),
        (b"x" * LONGEST + b"\n" + b"x" * (LONGEST + 1) + b"\nab\n", [LONGEST, None, 2]),
        (b"x" * 300_000, [None]),
        (b"abc\n" * 100_000, [3] * 100_000),
    ],
)
async def test_lines(client: Client, body: bytes, found: list[int | None]) -> None:
    """The last line needs no line feed; one over the limit costs itself alone; gzip is inflated."""
    assert await answer(client, body) == (200, found)
    assert await answer(client, gzip.compress(body), "gzip") == (200, found)


@given(body=st.text("a\n", max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6), longest=st.integers(1, 6))
def test_where_a_body_is_cut_does_not_matter(body: str, cuts: list[int], longest: int) -> None:
    """The same bytes give the same lines, in whatever pieces they come."""
    whole = body.encode()
    splitter = stream.Splitter(longest)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[edges[i] : edges[i + 1]] for i in range(len(edges) - 1)]
    found = [line for piece in pieces for line in splitter.split(piece)] + splitter.rest()

    expected = whole.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert found == [line if len(line) <= longest else None for line in expected]


async def test_a_bomb_stays_small(client: Client) -> None:
    """A line that inflates without end is dropped as it grows."""
    assert await answer(client, BOMB, "gzip") == (200, [None])


async def test_while_it_inflates_others_have_their_turn(client: Client) -> None:
    """Also where no line ends for long: the event loop goes round with each of its 760 pieces."""
    turns, asked = 0, asyncio.create_task(answer(client, BOMB, "gzip"))
    while not asked.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 50_000_000 / stream.INFLATED_PIECE


@pytest.mark.parametrize(
    ("body", "encoding", "detail"),
    [
        (b"abc\n", "br", "must be gzip"),
        (b"abc\n", "gzip", "not encoded as its headers say"),
        (ZIPPED[:-4], "gzip", "cut short"),
        (ZIPPED + b"x", "gzip", "something follows"),
        (ZIPPED * 20_000, "gzip", "follows"),
    ],
    ids=["unknown", "not gzip", "cut short", "followed", "many members"],
)
async def test_broken_encodings(client: Client, body: bytes, encoding: str, detail: str) -> None:
    """What is not as its headers say is a 400 that says so."""
    status, refusal = await answer(client, body, encoding)

    assert status == 400
    assert detail in str(refusal)


async def test_a_sender_that_falls_silent() -> None:
    """Whoever sends nothing for too long is not waited for; the lines before that have been given out."""
    given_out: list[bytes | None] = []
    ended: asyncio.Future[InvalidReport] = asyncio.get_running_loop().create_future()

    async def read(request: web.Request) -> web.Response:
        try:
            async for lines in stream.lines(request, within=0.05):
                given_out.extend(lines)
        except InvalidReport as error:
            ended.set_result(error)
        return web.Response()

    app = web.Application()
    app.router.add_post("/lines", read)

    async def silent() -> AsyncIterator[bytes]:
        yield b"a\nb"
        await ended

    async with TestClient(TestServer(app)) as client:
        with suppress(ConnectionError):
            await client.post("/lines", data=silent())

    assert given_out == [b"a"]
    assert "took too long" in (await ended).detail
