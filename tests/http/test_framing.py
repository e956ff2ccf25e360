"""Where a request ends: no two readers may see it differently, or one of them lets in what the other took for a body."""

from __future__ import annotations

import asyncio
import logging
import re
from urllib.parse import urlsplit

import pytest

from tests.inside import Inside

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
WITHIN = 20.0


async def statuses(url: str, *pieces: bytes, leave: bool = False) -> list[int]:
    """Of every answer that comes until the service closes the connection; ``leave``: we say that no more will come."""
    address = urlsplit(url)
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        received = bytearray()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if leave:
                writer.write_eof()
            while piece := await reader.read(65536):
                received += piece
        except ConnectionError:  # it was refused before all of it was sent
            pass
        finally:
            writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", bytes(received))]


def post(standing: Inside, headers: bytes, body: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n%s" % (standing.csp_path.encode(), headers, body)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\n" + CHUNKED,
        CHUNKED + b"Content-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length: 1e3\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: %s\r\n" % (b"9" * 40),
        b"Content-Length: 5 5\r\n",
        b"Content-Length : 5\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked\x0b\r\n",
        b"X: a\r\n Content-Length: 0\r\n",
        b"X: a\rContent-Length: 0\r\n",
        b"X: a\nContent-Length: 0\r\n\n",
        b"X: a\0b\r\n",
        b"Host: b\r\n",
    ],
    ids=lambda headers: headers[:40].decode().encode("unicode_escape").decode(),
)
async def test_a_length_in_doubt_ends_the_connection(
    standing: Inside, caplog: pytest.LogCaptureFixture, headers: bytes
) -> None:
    """Two lengths, or one that can be read two ways: a 400 and nothing more, so what follows is nobody's request."""
    found = await statuses(standing.url, post(standing, headers, b"0\r\n\r\n" + HIDDEN))
    assert found == [400]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "body",
    [
        b"%x\r\n" % 2**72,
        b"-1\r\na\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"2 \r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}0\r\n\r\n",
        b"2\n{}\n0\n\n",
        b"1;" + b"x" * 70_000 + b"\r\n{\r\n0\r\n\r\n",
        b"1\r\n \r\n" * 30_000 + b"0\r\n\r\n",
        b"2\r\n{}\r\n0\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(5_000)) + b"\r\n",
        b"2\r\n{}\r\n0\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
    ids=[
        *(
            "size of 72 bits",
            "below zero",
            "hexadecimal mark",
            "space",
            "no end",
            "line feeds",
            "long extension",
            "one byte each",
        ),
        *("many trailers", "long trailer"),
    ],
)
async def test_chunks_are_whole_or_refused(standing: Inside, caplog: pytest.LogCaptureFixture, body: bytes) -> None:
    """However they are put: at most one answer, which is a refusal, and no line in the log."""
    found = await statuses(standing.url, post(standing, CHUNKED, body), leave=True)
    assert found in ([], [400])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    async with standing.client.get("/healthz") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /healthz HTTP/1.1\r\nHost: a\r\n", *[b"X-%d: a\r\n" % number for number in range(50_000)], b"\r\n"],
        [b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", *[b"a" * 65536] * 100],
        [b"GET /", *[b"a" * 65536] * 100],
        [b"GET /healthz HTTP/1.1\r\nHost: a\r\nCookie: ", *[b"c%d=v; " % number for number in range(50_000)], b"\r\n\r\n"],
        [b"GET /healthz HTTP/1.1\r\nHost: a\r\n", *[b"Cookie: a=b\r\n"] * 50_000, b"\r\n"],
    ],
    ids=["many headers", "one without an end", "a URL without an end", "many cookies", "many lines of cookies"],
)
async def test_a_head_is_bounded(standing: Inside, caplog: pytest.LogCaptureFixture, pieces: list[bytes]) -> None:
    """In lines and in bytes: who sends more is refused, and is not read further."""
    found = await statuses(standing.url, *pieces, leave=True)
    assert found in ([], [400], [414], [431])  # without an answer where ours met what was still sent
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_requests_in_a_row_have_their_answers_in_a_row(standing: Inside) -> None:
    """A thousand requests sent at once on one connection are answered one by one, each once."""
    found = await statuses(standing.url, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 1000 + HIDDEN)
    assert found == [200] * 1000 + [404]


@pytest.mark.parametrize("length", [b"Content-Length: 500\r\n", CHUNKED])
async def test_a_body_that_ends_too_soon_is_nobodys(standing: Inside, caplog: pytest.LogCaptureFixture, length: bytes) -> None:
    """Cut in the middle it is answered with nothing or a refusal, and is no error of ours."""
    assert await statuses(standing.url, post(standing, length, b"5\r\n{"), leave=True) in ([], [400])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
