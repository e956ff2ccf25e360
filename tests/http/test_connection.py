"""What is refused before the application sees it, as a client's socket gets it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.typedefs import Handler
from structlog.testing import capture_logs

from collector.entrance import VERSION
from collector.http.connection import Runner
from tests.inside import Inside, running

SECRET = b"secret<b>"
LONG = SECRET + b"x" * 9000
ANSWERED_WITHIN = 20.0  # seconds; it takes milliseconds


async def answer(url: str, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body of what comes back until the service closes the connection."""
    address = urlsplit(url)
    async with asyncio.timeout(ANSWERED_WITHIN):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(sent)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


def assert_is_ours(headers: dict[str, str], body: bytes) -> None:
    """JSON with a message, the headers of every answer, and nothing of what was sent."""
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-coder-build-version"] == VERSION
    assert headers["server"] == "collector"
    assert json.loads(body)["message"]
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n%s: y\r\n\r\n" % SECRET, 400),
        (b"\x16\x03\x01%s\r\n\r\n" % SECRET, 400),
        (b"%s / HTTP/1.1\r\nHost: a\r\n\r\n" % SECRET, 400),
        (b"GET http://[%s HTTP/1.1\r\nHost: a\r\n\r\n" % SECRET, 400),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % LONG, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n" % LONG, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n%s: a\r\n\r\n" % LONG.replace(b"<b>", b""), 431),
    ],
    ids=["header", "garbage", "method", "URL", "long URL", "long header", "long name"],
)
async def test_what_is_no_request_is_refused_in_our_words(
    standing: Inside, caplog: pytest.LogCaptureFixture, sent: bytes, status: int
) -> None:
    """Both listeners answer JSON that quotes nothing; it is counted, and nobody can write errors into the log with it."""
    counted = f'collector_http_requests_total{{method="other",route="unknown",status="{status}"}}'
    before = (await standing.metrics()).get(counted, 0)
    for url in (standing.url, standing.prometheus_url):
        code, headers, body = await answer(url, sent)
        assert code == status
        assert_is_ours(headers, body)
    assert (await standing.metrics())[counted] == before + 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", [b"/healthz", b"/nowhere"])
async def test_an_expectation_that_nobody_meets_is_refused_in_our_words(standing: Inside, path: bytes) -> None:
    """Whether there is a route or none: aiohttp asks before the first middleware."""
    request = b"GET %s HTTP/1.1\r\nHost: a\r\nExpect: %s\r\nConnection: close\r\n\r\n" % (path, SECRET)
    status, headers, body = await answer(standing.url, request)
    assert status == 417
    assert_is_ours(headers, body)


async def test_broken_framing_is_no_error_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What aiohttp logs of a client's fault is left out, and what else it logs is not."""
    async with running("sqlite", tmp_path):
        logger = logging.getLogger("aiohttp.server")
        for error in (BadHttpMessage("secret"), web.RequestPayloadError("secret"), ZeroDivisionError("ours")):
            logger.error("Unhandled exception", exc_info=error)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["ours"]


@asynccontextmanager
async def failing() -> AsyncIterator[str]:
    """The address of a service whose outermost middleware fails."""

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:  # noqa: ARG001
        raise ZeroDivisionError("secret")

    runner = Runner(web.Application(middlewares=[fail]), version=VERSION, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_what_no_middleware_catches_is_shown_as_nothing() -> None:
    """It is a 500 in the form of all others, and stands in the log in full."""
    async with failing() as url:
        with capture_logs() as logged:
            status, headers, body = await answer(url, b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 500
    assert_is_ours(headers, body)
    assert [(line["event"], line["path"], repr(line["exc_info"])) for line in logged] == [
        ("request failed", "/there", "ZeroDivisionError('secret')")
    ]


async def echo(request: web.Request) -> web.Response:
    """What was sent."""
    return web.Response(body=await request.read())


@asynccontextmanager
async def accepted() -> AsyncIterator[tuple[Runner, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A runner, and both ways of a connection that it has accepted."""
    app = web.Application()
    app.router.add_post("/", echo)
    runner = Runner(app, version=VERSION, keepalive_timeout=75)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    async with asyncio.timeout(ANSWERED_WITHIN):
        while runner.server is None or not runner.server.connections:  # noqa: ASYNC110 — nobody tells that one is made
            await asyncio.sleep(0)
        yield runner, reader, writer
    writer.close()
    await runner.cleanup()


WHOLE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize("there", [0, 10, len(WHOLE) - 2], ids=["nothing", "part of the head", "part of the body"])
async def test_what_is_on_its_way_when_it_stops(there: int) -> None:
    """A client whose connection was accepted before the stop is answered, however little of its request was there."""
    async with accepted() as (runner, reader, writer):
        writer.write(WHOLE[:there])
        stopping = asyncio.create_task(runner.cleanup())
        for _ in range(100):  # turns of the loop, in which a stop that waits for nobody would be over
            await asyncio.sleep(0)
        assert runner.addresses == []
        writer.write(WHOLE[there:])
        received = await reader.read()
        await stopping

    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\nbody")


async def test_a_silent_connection_does_not_hold_up_the_stop() -> None:
    """Browsers open connections in advance: one that says nothing is closed without an answer after a moment."""
    async with accepted() as (runner, reader, _):
        await runner.cleanup()

        assert await reader.read() == b""


SAYS_CLOSE = b"\r\nConnection: close\r\n"


async def test_a_kept_connection_has_a_last_answer_when_it_stops() -> None:
    """Nobody sends into a closing connection: a request that comes on a kept one then is answered, and told it is the last."""
    async with accepted() as (runner, reader, writer):
        writer.write(WHOLE)
        first = await reader.readuntil(b"body")
        stopping = asyncio.create_task(runner.cleanup())
        for _ in range(100):  # turns of the loop, in which a stop that waits for nobody would be over
            await asyncio.sleep(0)
        writer.write(WHOLE)
        last = await reader.read()
        await stopping

    assert SAYS_CLOSE not in first
    assert last.startswith(b"HTTP/1.1 200 ")
    assert SAYS_CLOSE in last


async def test_what_is_being_answered_at_the_stop_is_told_it_is_the_last() -> None:
    """Also an answer that takes longer than the stop waits for further requests."""
    async with accepted() as (runner, reader, writer):
        writer.write(WHOLE[:-2])
        while not all(each._current_request for each in runner.server.connections):  # type: ignore[union-attr] # noqa: ASYNC110
            await asyncio.sleep(0)
        stopping = asyncio.create_task(runner.cleanup())
        for _ in range(100):
            await asyncio.sleep(0)
        writer.write(WHOLE[-2:])
        last = await reader.read()
        await stopping

    assert last.startswith(b"HTTP/1.1 200 ")
    assert SAYS_CLOSE in last
