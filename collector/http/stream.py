"""A body of any length, line by line as it arrives: what is in memory is one piece of it and one unfinished line."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from collector.http.body import UNREADABLE
from collector.wire.errors import InvalidReport

LONGEST_LINE = 1024 * 1024
NEXT_WITHIN_S = 30.0  # between two pieces; who is that slow may send again, and what was committed counts once

# zlib makes a thousand bytes of one. Pieces of this size take a millisecond each, and others have their turn after each.
INFLATED_PIECE = 64 * 1024
AT_ONCE = 1_000  # lines: a piece may be nothing but line feeds


async def lines(
    request: web.BaseRequest, *, longest: int = LONGEST_LINE, within: float = NEXT_WITHIN_S
) -> AsyncIterator[list[bytes | None]]:
    """The lines of the body without their line feeds, some at a time; None stands for one with more than ``longest`` bytes.

    Raises:
        InvalidReport: the body is cut short, its next piece took more than ``within`` seconds, or its encoding is unknown or
            broken. All lines before that have been given out.
    """
    splitter = Splitter(longest)
    async for piece in _inflated(request, within):
        for some in _batched(splitter.split(piece)):
            yield some
            await asyncio.sleep(0)
        # Pieces that wait already are read without waiting, and 2 GB of one line are 2 MB of gzip: the others want their turn.
        await asyncio.sleep(0)
    yield splitter.rest()


def _batched(found: list[bytes | None]) -> Iterator[list[bytes | None]]:
    """``found`` in lists of at most ``AT_ONCE``."""
    return (found[at : at + AT_ONCE] for at in range(0, len(found), AT_ONCE))


class Splitter:
    """Cuts pieces into lines."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun = bytearray()  # the last line, which has not ended
        self._too_long = False

    def split(self, piece: bytes) -> list[bytes | None]:
        """The lines that end within ``piece``."""
        first, *others = piece.split(b"\n")
        self._add(first)
        if not others:
            return []
        *whole, begun = others
        found = [*self.rest(ended=True), *(line if len(line) <= self._longest else None for line in whole)]
        self._add(begun)
        return found

    def rest(self, *, ended: bool = False) -> list[bytes | None]:
        """The line that has begun, if there is one, as if it had ended; an empty one counts only when it has."""
        line = None if self._too_long else bytes(self._begun)
        self._begun.clear()
        self._too_long = False
        return [line] if ended or line != b"" else []

    def _add(self, part: bytes) -> None:
        self._begun += part
        if len(self._begun) > self._longest:
            self._begun.clear()
            self._too_long = True
        elif self._too_long:
            self._begun.clear()


async def _inflated(request: web.BaseRequest, within: float) -> AsyncIterator[bytes]:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        async for piece in _sent(request, within):
            yield piece
        return
    if encoding not in ("gzip", "x-gzip"):
        raise InvalidReport(UNREADABLE, "The content encoding must be gzip, if there is one.")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip
    async for sent in _sent(request, within):
        for piece in _pieces(inflater, sent):
            yield piece
    # One member alone, as for every other body: thousands of empty ones cost time without a bound.
    if not inflater.eof or inflater.unused_data:
        raise InvalidReport(UNREADABLE, "The encoded body is cut short, or something follows it.")


def _pieces(inflater: zlib._Decompress, sent: bytes) -> Iterator[bytes]:
    while sent:
        if inflater.eof:
            raise InvalidReport(UNREADABLE, "Something follows the encoded body.")
        try:
            piece = inflater.decompress(sent, INFLATED_PIECE)
        except zlib.error as error:
            raise InvalidReport(UNREADABLE, "The body is not encoded as its headers say.") from error
        yield piece
        sent = inflater.unconsumed_tail
        if not sent and len(piece) == INFLATED_PIECE:
            yield from _held_back(inflater)


def _held_back(inflater: zlib._Decompress) -> Iterator[bytes]:
    """What the inflater has taken in and, for want of room, not given out."""
    while piece := inflater.decompress(b"", INFLATED_PIECE):
        yield piece


async def _sent(request: web.BaseRequest, within: float) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(within):
                piece = await request.content.readany()
        except TimeoutError as error:
            raise InvalidReport(UNREADABLE, "The next piece of the body took too long.") from error
        except (web.RequestPayloadError, ContentEncodingError) as error:
            raise InvalidReport(UNREADABLE, "The body is not framed or encoded as its headers say.") from error
        except ConnectionError as error:
            raise InvalidReport(UNREADABLE, "The body is cut short.") from error
        if not piece:
            return
        yield piece
