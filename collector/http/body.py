"""The body of a request, never more of it than its limit.

The server is to run with ``auto_decompress=False``: left on, aiohttp inflates every body, also one that no handler reads.
The rest of a body that was refused is read for up to ``lingering_time`` after the answer, and 2 MB of gzip that hold
2 GB of zeros then stop the whole process for seconds, whoever sent them (measured with aiohttp 3.14.5: 1.7 s in one piece).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import NamedTuple

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import ContentEncodingError

from collector.wire.errors import InvalidReport, TooLarge

OBJECT_LIMIT = 64 * 1024  # one report
ARRAY_LIMIT = 1024 * 1024  # a batch of the Reporting API

# A larger body is inflated on a thread: zlib gives 200 to 400 MB/s, so a megabyte holds the event loop up for 5 ms at most.
INLINE_LIMIT = ARRAY_LIMIT

# Whoever sends a byte now and then would hold a connection for ever. 8 MiB within 30 s are 280 kB/s.
READ_WITHIN_S = 30.0

UNREADABLE = "Failed to read body."

Check = Callable[[bytes | bytearray], None]  # raises TooLarge


class Limit(NamedTuple):
    """How many bytes a body may have, and what its sender is told when it has more."""

    size: int
    detail: str

    def check(self, body: bytes | bytearray) -> None:
        """Raise TooLarge when ``body`` is over the limit."""
        if len(body) > self.size:
            raise self.refusal()

    def refusal(self) -> TooLarge:
        """The error to raise."""
        return TooLarge("Request body too large.", self.detail)


OBJECT = Limit(OBJECT_LIMIT, f"Maximum CSP report size is {OBJECT_LIMIT} bytes.")
BATCH = Limit(ARRAY_LIMIT, f"Maximum CSP report size is {OBJECT_LIMIT} bytes, of a batch {ARRAY_LIMIT} bytes.")


async def read(request: web.BaseRequest, *, limit: int, within: float = READ_WITHIN_S) -> bytes:
    """The whole body, inflated, at most ``limit`` bytes, waiting at most ``within`` seconds for it.

    Raises:
        TooLarge: the body is longer, as sent or inflated. Reading stopped at the first piece that was over the limit.
        InvalidReport: the body is cut short or took too long, or its encoding is unknown or broken.
    """
    allowed = Limit(limit, f"Maximum body size is {limit} bytes.")
    return await _body(request, allowed, allowed.check, within)


async def read_report(request: web.BaseRequest, *, within: float = READ_WITHIN_S) -> bytes:
    """The whole body of a CSP report, inflated: at most 64 KiB, or 1 MiB when its first character that counts is ``[``.

    Raises:
        TooLarge: as in :func:`read`.
        InvalidReport: as in :func:`read`.
    """
    return await _body(request, BATCH, check_report, within)


def check_report(body: bytes | bytearray) -> None:
    """Raise TooLarge when ``body`` is over the limit of its shape."""
    if len(body) > OBJECT_LIMIT:
        limit = BATCH if body[:OBJECT_LIMIT].lstrip()[:1] == b"[" else OBJECT
        limit.check(body)


def whole_report(request: web.BaseRequest) -> bytes | None:
    """The body of a CSP report when it is here already, as most are: in one packet with its head, small, and not encoded.

    None leaves it to :func:`read_report`, which finds the same.
    """
    content = request.content
    if not content.is_eof() or content.exception() is not None or content.total_bytes > OBJECT_LIMIT:
        return None
    return None if "Content-Encoding" in request.headers else content.read_nowait()


async def _body(request: web.BaseRequest, limit: Limit, check: Check, within: float) -> bytes:
    declared = request.content_length
    if declared is not None and declared > limit.size:
        raise limit.refusal()
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity") or _was_inflated(request):
        return bytes(await _sent(request, check, within))
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise InvalidReport(UNREADABLE, "The content encoding must be gzip or deflate, if there is one.")
    sent = await _sent(request, limit.check, within)
    if limit.size <= INLINE_LIMIT:
        body = _inflated(sent, encoding, limit)
    else:
        body = await asyncio.to_thread(_inflated, sent, encoding, limit)
    check(body)
    return bytes(body)


async def _sent(request: web.BaseRequest, check: Check, within: float) -> bytes | bytearray:
    if request.content.is_eof() and request.content.exception() is None:
        # Most reports come in one packet with their head: there is nothing to wait for.
        whole = request.content.read_nowait()
        check(whole)
        return whole
    _invite(request)
    try:
        async with asyncio.timeout(within):
            return await _pieces(request, check)
    except TimeoutError as error:
        raise InvalidReport(UNREADABLE, "The body took too long.") from error


def _invite(request: web.BaseRequest) -> None:
    """Ask for the body that a client holds back until it is asked (``Expect: 100-continue``).

    aiohttp does so for every request that it routes, once it has found the route; for those that a door takes nobody has
    yet. A second invitation would be legal, and is not sent.
    """
    routed = isinstance(request, web.Request) and request._match_info is not None  # noqa: SLF001 — else it is an assertion
    if routed or request.version != HttpVersion11 or request.headers.get("Expect", "").lower() != "100-continue":
        return
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _pieces(request: web.BaseRequest, check: Check) -> bytearray:
    body = bytearray()
    try:
        while piece := await request.content.readany():
            body += piece
            check(body)
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise InvalidReport(UNREADABLE, "The body is not framed or encoded as its headers say.") from error
    except ConnectionError as error:  # a visitor who left the page: the answer goes nowhere, and nobody is at fault
        raise InvalidReport(UNREADABLE, "The body is cut short.") from error
    return body


def _was_inflated(request: web.BaseRequest) -> bool:
    """Whether the server runs with ``auto_decompress`` after all: aiohttp then counts what it was given to inflate."""
    return getattr(request.content, "total_compressed_bytes", None) is not None


def _inflated(sent: bytes | bytearray, encoding: str, limit: Limit) -> bytes | bytearray:
    """What ``sent`` holds; one byte over ``limit`` is the most that is ever made of it."""
    if not sent:
        return sent
    # Some clients send deflate without its zlib header, whose low four bits are 8 (RFC 1950, 2.2).
    raw_deflate = encoding == "deflate" and sent[0] & 0x0F != 8  # noqa: PLR2004
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS if raw_deflate else zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as it says
    try:
        body = bytearray(inflater.decompress(sent, limit.size + 1))
    except zlib.error as error:
        raise InvalidReport(UNREADABLE, "The body is not encoded as its headers say.") from error
    limit.check(body)
    # A second gzip member would be legal, but no client sends one, and thousands of empty ones cost time without a bound.
    if not inflater.eof or inflater.unused_data:
        raise InvalidReport(UNREADABLE, "The encoded body is cut short, or something follows it.")
    return body
