"""What is refused before the application sees it: no HTTP, a line that is too long, an expectation that nobody meets.

The answers have the form of all others. aiohttp's own would be text that quotes what the client sent, and an error in the
log for each of them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from collector.http import meter
from collector.http.errors import error_response, own_words
from collector.http.signature import signature
from collector.wire.errors import CollectorError, HeaderTooLong, InvalidInput, TargetTooLong

# Bytes. aiohttp has one error for both and tells no more than the limit that was passed, so the two must differ.
LONGEST_TARGET = 8190
LONGEST_HEADER = 8192  # name and value

WAITING_AT_MOST = 4096  # to be accepted: while it goes on others may come
# A client that reads nothing of its answer holds it and the connection, and the system asks it for ever whether it would now.
UNREAD_S = 30.0
LEAVING_S = 1.0  # for the last request of each connection, once nothing is accepted any more; it may also stay silent

log = structlog.get_logger(__name__)


class Runner(web.AppRunner):
    """aiohttp's runner, with the answers of this service for what its application never sees.

    Args:
        app: the application.
        version: of the service, for ``X-Coder-Build-Version``.
        options: those of aiohttp's own.
    """

    def __init__(self, app: web.Application, *, version: str, **options: Any) -> None:
        super().__init__(app, max_line_size=LONGEST_TARGET, max_field_size=LONGEST_HEADER, **options)
        self._version = version

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        application = made.request_handler

        async def answered(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await application(request)
            except web.HTTPException as error:  # from before the first middleware
                return _finished(own_words(error), request, self._version)

        return _Server(answered, self._version, request_factory=made.request_factory, **self._kwargs)

    async def cleanup(self) -> None:
        """Stop listening, let every connection have a last request answered, then close as aiohttp does.

        aiohttp closes a connection that has nothing to be answered, and reads no further of a body. To a client that sends
        something in this moment that is a broken connection, though nobody ever refused it.
        """
        for site in list(self.sites):
            await self._stop(site)
        if isinstance(self.server, _Server):
            await asyncio.sleep(0)  # what was accepted last gets its task
            await self.server.leave(LEAVING_S)
        await super().cleanup()

    async def _stop(self, site: web.BaseSite) -> None:
        """Listen there no longer, and accept what waits: the system resets a connection that nobody accepted.

        A socket that was handed over is left as it is: what waits there is for the next process.
        """
        listening = site._server if isinstance(site, web.TCPSite) else None  # noqa: SLF001 — nothing else tells its sockets
        ours = [socket.socket(fileno=os.dup(each.fileno())) for each in getattr(listening, "sockets", ())]
        await site.stop()
        await self._take([made for each in ours for made in _last_of(each)], site._ssl_context)  # noqa: SLF001

    async def _take(self, accepted: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        if self.server is None or not accepted:
            return
        loop, server = asyncio.get_running_loop(), self.server
        taking = [asyncio.create_task(loop.connect_accepted_socket(server, each, ssl=tls)) for each in accepted]
        _, late = await asyncio.wait(taking, timeout=LEAVING_S)  # TLS asks the client
        for task in late:
            task.cancel()
        await asyncio.gather(*taking, return_exceptions=True)


def _last_of(listener: socket.socket) -> Iterator[socket.socket]:
    """All that wait to be accepted; then it is closed at once, also where another descriptor of it is open for a moment."""
    listener.setblocking(False)
    with listener:
        with suppress(OSError):  # BlockingIOError: nobody waits any more
            for _ in range(WAITING_AT_MOST):
                yield listener.accept()[0]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


class _Server(web.Server):
    """Makes a :class:`_Connection` of every connection."""

    def __init__(self, handler: Any, version: str, *, request_factory: Any, **options: Any) -> None:
        super().__init__(handler, request_factory=self._requested, **options)
        self._version, self._made = version, request_factory
        self._leaves = False

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._version, loop=self._loop, **self._kwargs)

    def _requested(self, message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        """The request; once the server leaves, as if its client had asked for the connection to be closed after it."""
        made: web.BaseRequest = self._made(message._replace(should_close=True) if self._leaves else message, *rest)
        return made

    async def leave(self, within: float) -> None:
        """Say with every answer that it is the connection's last; return when all have had it, or after ``within`` seconds."""
        self._leaves = True
        for each in self.connections:
            if isinstance(each, _Connection):
                each.answer_last()
        end = self._loop.time() + within
        while (open_ := self._open()) and (rest := end - self._loop.time()) > 0:
            await asyncio.wait(open_, timeout=rest)

    def _open(self) -> list[asyncio.Task[None]]:
        made = (each.serving for each in self.connections if isinstance(each, _Connection))
        return [task for task in made if task is not None and not task.done()]


class _Connection(web.RequestHandler):
    __slots__ = ("_version",)

    def __init__(self, server: web.Server, version: str, **options: Any) -> None:
        super().__init__(server, **options)
        self._version = version

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and have the system end the connection when nothing of what is sent is taken for ``UNREAD_S``."""
        end_unread(transport, UNREAD_S)
        super().connection_made(transport)

    def answer_last(self) -> None:
        """What is being answered is the connection's last request, unless its answer has begun."""
        if self._current_request is not None:
            asked = self._current_request._message  # noqa: SLF001 — what tells an answer to close is the request alone
            self._current_request._message = asked._replace(should_close=True)  # noqa: SLF001

    @property
    def serving(self) -> asyncio.Task[None] | None:
        """What ends with the connection."""
        return self._task_handler

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 — aiohttp's words, with the client's bytes
    ) -> web.StreamResponse:
        """The answer to what could not be parsed, or to what the application let through; the connection ends with it."""
        response = _finished(error_response(_in_our_words(exc, status), request), request, self._version)
        response.force_close()
        if request.writer.output_size > 0:
            raise ConnectionError("part of another answer has been sent")
        return response


def end_unread(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the system reset a TCP connection whose other end has taken nothing for that long of what waits for it."""
    opened = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
    if option is not None and opened is not None and opened.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # it has gone already
            opened.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def _in_our_words(error: BaseException | None, status: int) -> Exception:
    if isinstance(error, HttpProcessingError):
        log.debug("no request", error=type(error).__name__)  # its text has the bytes, and the keys and tokens in them
        return _refusal(error)
    return error if isinstance(error, Exception) else RuntimeError(f"the application gave no answer ({status})")


def _refusal(error: HttpProcessingError) -> CollectorError:
    if not isinstance(error, LineTooLong):
        return InvalidInput("The request is not valid HTTP.")
    if error.args[1] == LONGEST_TARGET:
        return TargetTooLong("The URL is too long.", f"Expected at most {LONGEST_TARGET} bytes")
    return HeaderTooLong("A header is too long.", f"Expected at most {LONGEST_HEADER} bytes, name and value")


def _finished(response: web.StreamResponse, request: web.BaseRequest, version: str) -> web.StreamResponse:
    """``response`` with the headers of every answer, counted."""
    for name, value in signature(version).items():
        response.headers.setdefault(name, value)
    meter.count(meter.UNKNOWN_ROUTE, request.method, response.status)
    return response
