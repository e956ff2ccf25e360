"""Bodies and addresses."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp import AiohttpClient

from collector.http import body, forwarded
from collector.http.errors import errors_middleware
from collector.wire.errors import InvalidReport

REPORT = b'{"csp-report":{"document-uri":"https://shop.example/","violated-directive":"script-src"}}'
BOMB = gzip.compress(bytes(50_000_000))  # 49 KB

Client = TestClient[web.Request, web.Application]


def an_object(size: int) -> bytes:
    """A JSON object of so many bytes."""
    return b' {"a":"' + b"x" * (size - 9) + b'"}'


def an_array(size: int) -> bytes:
    """A JSON array of so many bytes."""
    return b'\n["' + b"x" * (size - 5) + b'"]'


async def length(request: web.Request) -> web.Response:
    """How long the body of a report is, as the door reads it."""
    return web.Response(text=str(len(body.whole_report(request) or await body.read_report(request))))


async def length_of_a_thousand(request: web.Request) -> web.Response:
    """How long a body of at most 1,000 bytes is."""
    return web.Response(text=str(len(await body.read(request, limit=1000))))


async def length_of_four_million(request: web.Request) -> web.Response:
    """How long a body of at most 4,000,000 bytes is."""
    return web.Response(text=str(len(await body.read(request, limit=4_000_000))))


async def address(request: web.Request) -> web.Response:
    """Where the request came from, behind one proxy on this machine and one network of them."""
    trusted = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    return web.Response(text=forwarded.client_address(request, ["X-Real-IP", "X-Forwarded-For"], trusted))


async def unproxied_address(request: web.Request) -> web.Response:
    """Where the request came from, with no proxy trusted."""
    return web.Response(text=forwarded.client_address(request))


@pytest.fixture(params=[False, True], ids=["inflated here", "inflated by aiohttp"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A service that reads bodies, as it is to be run and as aiohttp runs it by default."""
    app = web.Application(middlewares=[errors_middleware])
    app.router.add_post("/report", length)
    app.router.add_post("/thousand", length_of_a_thousand)
    app.router.add_post("/million", length_of_four_million)
    app.router.add_get("/address", address)
    app.router.add_get("/unproxied", unproxied_address)
    server = TestServer(app)
    await server.start_server(auto_decompress=request.param)
    async with TestClient(server) as made:
        yield made


async def in_pieces(whole: bytes) -> AsyncIterator[bytes]:
    """The same without a Content-Length."""
    for start in range(0, len(whole), 16_384):
        yield whole[start : start + 16_384]


async def post(
    client: TestClient[web.Request, Any], path: str, data: bytes | BytesIO | AsyncIterator[bytes], encoding: str = ""
) -> tuple[int, str]:
    """Status, and the body's length or the detail of the refusal."""
    headers = {"Content-Encoding": encoding} if encoding else {}
    async with client.post(path, data=data, headers=headers) as answer:
        return answer.status, await answer.text() if answer.status == 200 else (await answer.json())["detail"]


OBJECT_REFUSED = 413, "Maximum CSP report size is 65536 bytes."
BATCH_REFUSED = 413, "Maximum CSP report size is 65536 bytes, of a batch 1048576 bytes."


async def test_a_report_may_be_64_kib_and_a_batch_a_mebibyte(client: Client) -> None:
    """To the byte, with a Content-Length and without, decided by the first character that is not blank."""
    for pieces in (BytesIO, in_pieces):
        assert await post(client, "/report", pieces(an_object(65_536))) == (200, "65536")
        assert await post(client, "/report", pieces(an_object(65_537))) == OBJECT_REFUSED
        assert await post(client, "/report", pieces(an_array(1_048_576))) == (200, "1048576")
        assert await post(client, "/report", pieces(an_array(1_048_577))) == BATCH_REFUSED
        assert await post(client, "/report", pieces(b" " * 70_000)) == OBJECT_REFUSED
        assert await post(client, "/report", pieces(b"")) == (200, "0")


async def test_the_limit_of_a_route_is_named(client: Client) -> None:
    """With and without a Content-Length."""
    for pieces in (BytesIO, in_pieces):
        assert await post(client, "/thousand", pieces(bytes(1000))) == (200, "1000")
        assert await post(client, "/thousand", pieces(bytes(1001))) == (413, "Maximum body size is 1000 bytes.")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP"])
async def test_an_encoded_body_is_inflated(client: Client, encoding: str) -> None:
    """Small or large, and the limit counts what it holds."""
    encode = zlib.compress if encoding == "deflate" else gzip.compress
    assert await post(client, "/report", encode(REPORT), encoding) == (200, str(len(REPORT)))
    assert await post(client, "/report", encode(an_object(65_536)), encoding) == (200, "65536")
    assert await post(client, "/report", encode(an_object(65_537)), encoding) == OBJECT_REFUSED
    assert await post(client, "/report", encode(an_array(1_048_576)), encoding) == (200, "1048576")
    assert await post(client, "/million", encode(bytes(4_000_000)), encoding) == (200, "4000000")
    assert await post(client, "/million", encode(bytes(4_000_001)), encoding) == (413, "Maximum body size is 4000000 bytes.")


async def test_deflate_without_its_header_is_deflate(client: Client) -> None:
    """Some clients send the bare stream."""
    compressor = zlib.compressobj(wbits=-15)
    bare = compressor.compress(REPORT) + compressor.flush()
    assert await post(client, "/report", bare, "deflate") == (200, str(len(REPORT)))


@pytest.mark.parametrize("path", ["/report", "/million"])
async def test_a_bomb_does_not_go_off(client: Client, path: str) -> None:
    """50 MB in 49 KB are refused like any body over the limit."""
    status, _ = await post(client, path, BOMB, "gzip")
    assert status == 413


async def test_a_refused_body_is_not_waited_for(client: Client) -> None:
    """A body that says it is too long is refused before any of it came; one without a length, as soon as it is."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()

    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /report HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n{" + bytes(65_536))
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def served(aiohttp_client: AiohttpClient) -> TestClient[web.Request, None]:
    """The service as it is to be run."""
    app = web.Application(middlewares=[errors_middleware])
    app.router.add_post("/report", length)
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    return await aiohttp_client(server)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (REPORT, "br"),
        (b"(\xb5/\xfd \x00\x01\x00\x00", "zstd"),
        (gzip.compress(gzip.compress(REPORT)), "gzip, gzip"),
        (REPORT, "gzip"),
        (REPORT, "deflate"),
        (gzip.compress(REPORT)[:-1], "gzip"),
        (gzip.compress(REPORT) * 2, "gzip"),
        (gzip.compress(REPORT) + b"x", "gzip"),
    ],
    ids=["br", "zstd", "twice", "no gzip", "no deflate", "cut short", "two members", "rest"],
)
async def test_an_encoding_that_is_unknown_or_broken_is_a_bad_request(
    aiohttp_client: AiohttpClient, data: bytes, encoding: str
) -> None:
    """400 with a reason, whatever is wrong with it."""
    status, detail = await post(await served(aiohttp_client), "/report", data, encoding)
    assert status == 400
    assert detail


async def test_a_bomb_that_no_handler_reads_stays_unread(aiohttp_client: AiohttpClient) -> None:
    """With aiohttp's own inflating off, a body that nobody asked for costs what was sent and no more."""
    seen: list[web.Request] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=401)

    app = web.Application()
    app.router.add_post("/", refuse)
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    client: TestClient[web.Request, None] = await aiohttp_client(server)
    for _ in range(2):  # the second one is read when the first is done with, on the same connection
        async with client.post("/", data=BOMB, headers={"Content-Encoding": "gzip"}) as answer:
            assert answer.status == 401

    assert 0 < seen[0].content.total_bytes <= len(BOMB)


async def test_a_broken_chunk_is_a_bad_request(aiohttp_client: AiohttpClient) -> None:
    """Framing that is none is answered, not logged as an accident."""
    client = await served(aiohttp_client)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /report HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def refusals(aiohttp_client: AiohttpClient, within: float) -> tuple[TestClient[web.Request, None], asyncio.Queue[str]]:
    """A service that waits so long for a body, and how reading each one ended."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def read(request: web.Request) -> web.Response:
        ends.put_nowait("begun")
        try:
            text = str(len(await body.read_report(request, within=within)))
        except InvalidReport as error:
            ends.put_nowait(error.detail)
            raise
        return web.Response(text=text)

    app = web.Application(middlewares=[errors_middleware])
    app.router.add_post("/report", read)
    server = TestServer(app)
    client: TestClient[web.Request, None] = await aiohttp_client(server)
    assert server.runner is not None
    assert server.runner.server is not None
    server.runner.server.handler_cancellation = False  # a server for tests cancels the handler; the real one does not
    return client, ends


async def test_a_body_that_does_not_come_is_not_waited_for(aiohttp_client: AiohttpClient) -> None:
    """Past its time it is a bad request; one that came with its head needs no time at all."""
    client, _ = await refusals(aiohttp_client, within=0)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()

    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello")
    assert b" 400 " in await reader.readline()
    assert b"The body took too long." in await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()


async def test_a_visitor_who_leaves_is_no_accident(aiohttp_client: AiohttpClient) -> None:
    """A connection that ends within a body cuts the report short, and that is all."""
    client, ends = await refusals(aiohttp_client, within=60)
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello")
    assert await ends.get() == "begun"
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(60):
        assert await ends.get() == "The body is cut short."


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], "127.0.0.1"),
        ([("X-Forwarded-For", "203.0.113.7")], "203.0.113.7"),
        ([("X-Forwarded-For", "198.51.100.1, 203.0.113.7, 10.1.2.3")], "203.0.113.7"),
        ([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.7,10.1.2.3")], "203.0.113.7"),
        ([("X-Forwarded-For", "203.0.113.7:4711")], "203.0.113.7"),
        ([("X-Forwarded-For", "[2001:DB9::1]:4711, [2001:db8::5]")], "2001:db9::1"),
        ([("X-Forwarded-For", "::ffff:203.0.113.7")], "203.0.113.7"),
        ([("X-Forwarded-For", "10.9.9.9, 10.1.2.3")], "10.9.9.9"),
        ([("X-Forwarded-For", "203.0.113.7, unknown, 10.1.2.3")], "10.1.2.3"),
        ([("X-Forwarded-For", "")], "127.0.0.1"),
        ([("X-Forwarded-For", "203.0.113.7"), ("X-Real-IP", "203.0.113.9")], "203.0.113.9"),
    ],
)
async def test_behind_a_proxy_the_header_tells_the_client(
    client: Client, headers: list[tuple[str, str]], expected: str
) -> None:
    """The right-most address that is no proxy: what the client wrote itself stands further left."""
    async with client.get("/address", headers=headers) as answer:
        assert await answer.text() == expected


async def test_without_a_trusted_proxy_the_header_is_ignored(client: Client) -> None:
    """Anybody can write a header."""
    async with client.get("/unproxied", headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
        assert await answer.text() == "127.0.0.1"
