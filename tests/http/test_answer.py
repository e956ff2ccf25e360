"""The answer that is made beforehand says what aiohttp would have said."""

from __future__ import annotations

import asyncio
import re
from email.utils import formatdate

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from collector.http.answer import FixedAnswer
from tests.http.conftest import NOW, Clock

DATE = re.compile(rb"Date: ([^\r]+)\r\n")

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, clock: Clock) -> Client:
    """``/fixed`` gives it, ``/common`` what aiohttp makes of the same."""
    clock.at = NOW
    answer = FixedAnswer(b'"ok"\n', {"Content-Type": "application/json", "Server": "collector"}, lambda: int(clock()))

    async def fixed(request: web.Request) -> web.Response:
        return answer.to(request)

    async def common(_request: web.Request) -> web.Response:
        return answer.common()

    app = web.Application()
    app.router.add_post("/fixed", fixed)
    app.router.add_post("/common", common)
    return await aiohttp_client(app)


async def exchange(client: Client, *requests: str) -> bytes:
    """All that is answered to ``requests`` on one connection, which the last of them is to end."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write("".join(requests).encode())
    answered = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    return answered


def post(path: str, *, version: str = "1.1", connection: str = "keep-alive") -> str:
    return f"POST {path} HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\nContent-Length: 0\r\n\r\n"


async def test_it_is_what_aiohttp_would_send(client: Client) -> None:
    """But for the clock that the date comes from, the bytes are the same."""
    last = post("/common", connection="close")
    fixed, common = await exchange(client, post("/fixed"), last), await exchange(client, post("/common"), last)
    assert DATE.sub(b"", fixed) == DATE.sub(b"", common)
    assert DATE.findall(fixed)[0] == formatdate(NOW // 1000, usegmt=True).encode()


async def test_its_date_is_the_second_in_which_it_is_sent(client: Client, clock: Clock) -> None:
    """The clock moves on, and so does the date."""
    for second in (0, 1, 61):
        clock.at = NOW + second * 1000
        async with client.post("/fixed") as response:
            assert response.headers["Date"] == formatdate(NOW // 1000 + second, usegmt=True)


@pytest.mark.parametrize(("version", "connection"), [("1.1", "close"), ("1.0", "close"), ("1.0", "keep-alive")])
async def test_what_becomes_of_the_connection_is_said(client: Client, version: str, connection: str) -> None:
    """Who ends the connection, or speaks HTTP/1.0, gets the answer that aiohttp makes for that."""
    last = [] if connection == "close" else [post("/common", connection="close")]
    fixed = await exchange(client, post("/fixed", version=version, connection=connection), *last)
    common = await exchange(client, post("/common", version=version, connection=connection), *last)
    assert b'"ok"' in fixed
    assert DATE.sub(b"", fixed) == DATE.sub(b"", common)


async def test_requests_that_follow_at_once_are_all_answered(client: Client) -> None:
    """A client need not wait for an answer before it sends the next request."""
    answered = await exchange(client, *[post("/fixed")] * 50, post("/common", connection="close"))
    assert answered.count(b"HTTP/1.1 200 OK\r\n") == answered.count(b'\r\n\r\n"ok"\n') == 51
