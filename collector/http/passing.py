"""From a worker to the main process and back: requests that a worker does not answer itself, as plain HTTP over a Unix socket.

The main process answers them as if they had come to it: with the client's address and scheme, which the worker says in a header
that is believed on that socket alone. Heads, bodies and answers are passed on as they come, piece by piece.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from collector.http.connection import LONGEST_HEADER
from collector.http.errors import error_response
from collector.wire.errors import InvalidInput, Overloaded

FROM = "X-Collector-From"  # the client's address and the scheme: "203.0.113.9 https"
# What is between two neighbours alone (RFC 9110, 7.6.1). The length is given by Content-Length, or found anew.
OF_THE_CONNECTION = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect")
OURS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")  # what aiohttp's client would add
GONE = "The main process does not answer."

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Passing:
    """Passes requests on over the Unix socket at ``path``; :meth:`close` it at the end."""

    def __init__(self, path: Path) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(path), limit=0),  # as many as there are clients
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=OURS,
            max_field_size=4 * LONGEST_HEADER,
        )

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer ``request`` with the main process's answer."""
        try:
            url = _target(request)
        except ValueError:
            return error_response(InvalidInput("The request is not valid HTTP."), request)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        sent = request.content if request.body_exists else None
        try:
            asking = self._session.request(request.method, url, headers=_headers(request), data=sent, allow_redirects=False)
            async with asking as answer:
                return await _copied(answer, request)
        except (aiohttp.ClientError, OSError) as error:
            if request.writer.output_size > 0:
                raise ConnectionError("part of the answer has been sent") from error
            if request.content.exception() is not None:
                return error_response(InvalidInput("The body is cut short or broken."), request)
            return error_response(Overloaded(GONE), request)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _target(request: web.BaseRequest) -> URL:
    asked = request.rel_url
    return URL.build(
        scheme="http", host="collector", path=asked.raw_path or "/", query_string=asked.raw_query_string, encoded=True
    )


def _headers(request: web.BaseRequest) -> CIMultiDict[str]:
    headers = CIMultiDict(request.headers)
    for name in OF_THE_CONNECTION:
        headers.popall(name, None)
    headers["Host"] = request.host
    headers[FROM] = f"{request.remote or ''} {request.scheme}"
    return headers


async def _copied(answer: aiohttp.ClientResponse, request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        response.headers.add(name, value)
    for name in OF_THE_CONNECTION:
        response.headers.popall(name, None)
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    await response.write_eof()
    return response


def believing(handler: Handler) -> Handler:
    """``handler`` for requests as they come over TCP and as workers pass them on, whose word is believed of where from."""

    def told(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        if request.remote or FROM not in request.headers or not _is_unix(request):
            return handler(request)
        headers = CIMultiDict(request.headers)
        address, _, scheme = headers.pop(FROM).rpartition(" ")
        return handler(request.clone(remote=address, scheme=scheme, headers=headers))

    return told


def _is_unix(request: web.BaseRequest) -> bool:
    """Whether it came over a Unix socket, whose name is a path."""
    return isinstance(request.get_extra_info("sockname"), str)
