"""Clients that send a byte at a time, say nothing, or read nothing: each has its time, and then its connection ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collector.cli import listen
from collector.http import connection
from collector.pages.assets import load_assets
from tests.inside import Inside, running

PATIENCE_S = 1.0  # in place of the 75 s of a head, and the 30 s of an answer
WITHIN = 30.0


@pytest.fixture
async def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Inside]:
    """A collector whose times are short."""
    monkeypatch.setattr(listen, "KEEPALIVE_S", PATIENCE_S)
    monkeypatch.setattr(connection, "UNREAD_S", PATIENCE_S)
    async with running("sqlite", tmp_path) as collector:
        yield collector


async def dripped(url: str, begun: bytes, drop: bytes) -> bytes:
    """What the service says to ``begun``, and then ``drop`` ten times a second, until it closes the connection."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    received = bytearray()
    writer.write(begun)
    with suppress(ConnectionError):
        while True:
            try:
                async with asyncio.timeout(0.1):
                    piece = await reader.read(65536)
            except TimeoutError:
                writer.write(drop)
                continue
            if not piece:
                break
            received += piece
    writer.close()
    return bytes(received)


@pytest.mark.parametrize(
    ("begun", "drop", "answered"),
    [
        (b"", b"", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a", b""),
        (b"GET /", b"a", b""),
        (b"\r\n", b"\r\n", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"HTTP/1.1 200"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", b"HTTP/1.1 200"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /", b"a", b"HTTP/1.1 200"),
    ],
    ids=["silence", "a header", "a URL", "blank lines", "after an answer", "blank lines after one", "a second URL"],
)
async def test_a_head_has_its_time(impatient: Inside, begun: bytes, drop: bytes, answered: bytes) -> None:
    """However busily a client sends the next byte of a head, the connection ends when its time is over, on both listeners."""
    async with asyncio.timeout(WITHIN):
        for url in (impatient.url, impatient.prometheus_url):
            assert (await dripped(url, begun, drop)).startswith(answered)


async def test_who_is_slow_holds_up_nobody(impatient: Inside) -> None:
    """While hundreds send their heads byte by byte, a request is answered at once."""
    async with asyncio.timeout(WITHIN):
        slow = [asyncio.create_task(dripped(impatient.url, b"GET / HTTP/1.1\r\nX: ", b"a")) for _ in range(300)]
        for _ in range(20):
            async with impatient.client.get("/healthz") as response:
                assert response.status == 200
        assert await asyncio.gather(*slow) == [b""] * 300


async def test_who_reads_nothing_is_left(impatient: Inside) -> None:
    """An answer that is larger than what the system holds for a client that takes none of it: the connection is given up."""
    url = load_assets().url("vendor/swagger-ui/swagger-ui-bundle.js")
    address = urlsplit(impatient.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % url.encode() * 8)
        async with asyncio.timeout(WITHIN):
            while held(client, address.port or 0):  # noqa: ASYNC110 — nobody tells
                await asyncio.sleep(0)


def held(client: socket.socket, port: int) -> bool:
    """Whether the service's end of the connection is still there, by the system's own list."""
    ours, theirs = f":{client.getsockname()[1]:04X}", f":{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(theirs) and row[2].endswith(ours) for row in rows)
