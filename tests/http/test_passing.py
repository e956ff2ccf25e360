"""Requests that are passed on over a Unix socket: the same request arrives, and the same answer comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collector.http.connection import Runner
from collector.http.passing import FROM, Passing, believing
from tests.postgres import free_port

PIECES = 20


async def told(request: web.Request) -> web.Response:
    """What arrived."""
    body = await request.read()
    found = {
        "method": request.method,
        "path": request.raw_path,
        "remote": request.remote,
        "scheme": request.scheme,
        "host": request.host,
        "headers": sorted(request.headers),
        "body": len(body),
    }
    answer = web.Response(text=json.dumps(found), content_type="application/json", status=203)
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2")
    return answer


async def pieces(request: web.Request) -> web.StreamResponse:
    """An answer of unknown length."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(PIECES):
        await response.write(b"%d," % number)
    await response.write_eof()
    return response


async def unchanged(_request: web.Request) -> web.Response:
    """304, which has no body."""
    return web.Response(status=304, headers={"ETag": '"x"'})


async def moved(_request: web.Request) -> web.Response:
    """A redirect is the client's to follow."""
    raise web.HTTPSeeOther("/elsewhere")


@asynccontextmanager
async def front(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The address of a front that passes everything on, and that of the service behind it."""
    app = web.Application()
    app.router.add_get("/pieces", pieces)
    app.router.add_get("/unchanged", unchanged)
    app.router.add_get("/moved", moved)
    app.router.add_route("*", "/{path:.*}", told)
    behind = Runner(app, version="v0", auto_decompress=False)
    before = Runner(web.Application(), version="v0", auto_decompress=False)
    await behind.setup()
    await before.setup()
    passing = Passing(tmp_path / "s")
    assert behind.server is not None
    assert before.server is not None
    behind.server.request_handler = believing(behind.server.request_handler)
    before.server.request_handler = passing
    ports = free_port(), free_port()
    await web.UnixSite(behind, str(tmp_path / "s")).start()
    await web.TCPSite(behind, "127.0.0.1", ports[1]).start()
    await web.TCPSite(before, "127.0.0.1", ports[0]).start()
    yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    await before.cleanup()
    await passing.close()
    await behind.cleanup()


async def asked(url: str, method: str = "GET", **options: Any) -> Any:
    async with aiohttp.ClientSession() as client, client.request(method, url, **options) as response:
        assert response.status == 203
        assert len(response.headers.getall("Set-Cookie")) == 2
        return await response.json()


async def test_a_request_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """Method, target, host, headers and body are the client's, and so is the address, which is not the worker's."""
    async with front(tmp_path) as (url, _):
        given = {"Accept-Encoding": "br", "User-Agent": "x"}
        found = await asked(f"{url}/a%2Fb;c?d=%20&e", "PATCH", data=b"x" * 300_000, headers=given)
        assert found["path"] == "/a%2Fb;c?d=%20&e"
        assert (found["method"], found["body"]) == ("PATCH", 300_000)
        assert (found["remote"], found["scheme"], found["host"]) == ("127.0.0.1", "http", url.removeprefix("http://"))
        assert FROM not in found["headers"]


async def test_a_body_in_pieces_arrives_whole(tmp_path: Path) -> None:
    """A body of unknown length is passed on as it comes."""

    async def sent() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    async with front(tmp_path) as (url, _):
        assert (await asked(f"{url}/", "POST", data=sent()))["body"] == 100_000
        assert (await asked(f"{url}/", "POST", data=b"x" * 10, expect100=True))["body"] == 10


@pytest.mark.parametrize("at", [0, 1], ids=["through the front", "straight"])
async def test_nobody_else_is_believed(tmp_path: Path, at: int) -> None:
    """A client that says where it comes from, as a worker does, is not believed."""
    async with front(tmp_path) as addresses:
        found = await asked(f"{addresses[at]}/", headers={FROM: "203.0.113.9 https"})
        assert (found["remote"], found["scheme"]) == ("127.0.0.1", "http")


async def test_answers_come_back_as_they_were_given(tmp_path: Path) -> None:
    """In pieces, without a body, to HEAD, and redirects, which nobody follows on the client's behalf."""
    async with front(tmp_path) as (url, _), aiohttp.ClientSession(url) as client:
        async with client.get("/pieces") as response:
            assert await response.text() == "".join(f"{number}," for number in range(PIECES))
        async with client.get("/unchanged") as response:
            assert (response.status, response.headers["ETag"]) == (304, '"x"')
        async with client.head("/x") as response:
            assert (response.status, await response.read()) == (203, b"")
            assert int(response.headers["Content-Length"]) > 100
        async with client.get("/moved", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/elsewhere")


async def test_without_the_main_process(tmp_path: Path) -> None:
    """It is a 503 that says when to try again."""
    async with front(tmp_path) as (url, _), aiohttp.ClientSession(url) as client:
        (tmp_path / "s").unlink()
        async with client.get("/x") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json())["message"] == "The main process does not answer."


async def test_a_body_that_is_broken(tmp_path: Path) -> None:
    """A body that is cut short is no failure of the service, and the front goes on."""
    async with front(tmp_path) as (url, _):
        host, _, port = url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        answer = await reader.readline()
        writer.close()
        assert b" 400 " in answer
        assert (await asked(f"{url}/"))["method"] == "GET"
