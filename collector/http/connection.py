"""What is refused before the application sees it: no HTTP, a line that is too long, an expectation that nobody meets.

The answers have the form of all others. aiohttp's own would be text that quotes what the client sent, and an error in the
log for each of them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from collector.http import meter
from collector.http.errors import error_response, own_words
from collector.http.signature import signature
from collector.wire.errors import CollectorError, HeaderTooLong, InvalidInput, TargetTooLong

# Bytes. aiohttp has one error for both and tells no more than the limit that was passed, so the two must differ.
LONGEST_TARGET = 8190
LONGEST_HEADER = 8192  # name and value

ARRIVING_S = 1.0  # that what is on its way may take once nothing is accepted any more; a connection may also stay silent

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
        """Stop listening, take what clients are sending at this moment, then close as aiohttp does.

        aiohttp closes a connection that was accepted but has sent nothing yet, and reads no further of a body. To its
        client that is a broken connection, though nobody ever refused it.
        """
        for site in list(self.sites):
            await site.stop()
        if isinstance(self.server, _Server):
            await asyncio.sleep(0)  # what was accepted last gets its task
            await self.server.arrived(ARRIVING_S)
        await super().cleanup()


class _Server(web.Server):
    """Makes a :class:`_Connection` of every connection."""

    def __init__(self, handler: Any, version: str, **options: Any) -> None:
        super().__init__(handler, **options)
        self._version = version

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._version, loop=self._loop, **self._kwargs)

    async def arrived(self, within: float) -> None:
        """Return when every connection has sent its request whole, or after ``within`` seconds."""
        arriving = [asyncio.create_task(made.arrived()) for made in self.connections if isinstance(made, _Connection)]
        if not arriving:
            return
        _, late = await asyncio.wait(arriving, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*arriving, return_exceptions=True)


class _Connection(web.RequestHandler):
    __slots__ = ("_version",)

    def __init__(self, server: web.Server, version: str, **options: Any) -> None:
        super().__init__(server, **options)
        self._version = version

    async def arrived(self) -> None:
        """Return when the first request is here, with the body of the one that is being answered."""
        if self._request_count == 0 and self._waiter is not None:
            await asyncio.wait([self._waiter])  # which leaves it alone when this is cancelled
        # Once it is here, its handler starts within a turn or two of the loop.
        while self._waiter is None and self._current_request is None and self._task_handler is not None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if self._current_request is not None:
            await self._current_request.content.wait_eof()

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
