"""``collector aibridge ingest``: a log of a Coder server, sent to a running service."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import aiohttp
import msgspec

from collector.cli.aibridge_progress import Show, progress
from collector.cli.command import Subcommands, check_key, service_url
from collector.wire.aibridge import Receipt
from collector.wire.errors import InvalidInput, Overloaded

PIECE = 64 * 1024
ROUTE = "/api/v2/ingest/aibridge"
TRIES, PAUSE_S = 5, 2.0
UNAVAILABLE = 503
SHOWN = 20  # rejected lines; --json has the 1,000 that the service lists
NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30)  # a log takes as long as it takes


def add(commands: Subcommands) -> None:
    """Declare the command."""
    aibridge = commands.add_parser("aibridge", help="read AI bridge logs").add_subparsers(required=True, metavar="COMMAND")
    parser = aibridge.add_parser("ingest", help="send the log of a Coder server, JSON or for people, to a running service")
    parser.add_argument("file", metavar="FILE|-", help="the log; - reads standard input")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of the service [default http://127.0.0.1:3000]")
    parser.add_argument("--feed-key", required=True, metavar="KEY")
    parser.add_argument("--json", action="store_true", help="print the service's answer as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Send the log, show progress, print what became of it; 1 when a line was rejected."""
    url = service_url(args.url)
    check_key("--feed-key", args.feed_key)
    try:
        with _opened(args.file) as log, progress(sys.stderr, _size(log)) as show:
            receipt = asyncio.run(_delivered(f"{url}{ROUTE}", args.feed_key, log, show))
    except OSError as error:
        raise InvalidInput(f"{args.file}: {error.strerror}") from error
    if args.json:
        print(msgspec.json.encode(receipt).decode())
    else:
        _print(receipt)
    return 1 if receipt.rejected_count else 0


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as log:
        yield log


def _size(log: BinaryIO) -> int | None:
    """In bytes; None when it cannot be known beforehand."""
    return os.fstat(log.fileno()).st_size if log.seekable() else None


async def _delivered(url: str, feed_key: str, log: BinaryIO, show: Show) -> Receipt:
    """Send ``log``, from its beginning again when the service fails meanwhile: what it has stored counts once."""
    tries = TRIES if log.seekable() else 1
    async with aiohttp.ClientSession(timeout=NO_TIMEOUT, headers={"Authorization": f"Bearer {feed_key}"}) as session:
        for left in range(tries - 1, -1, -1):
            try:
                return await _attempt(session, url, _pieces(log, show))
            except Overloaded:
                if not left:
                    raise
            await asyncio.sleep(PAUSE_S)
            log.seek(0)
    raise AssertionError("the last try returns or raises")


async def _attempt(session: aiohttp.ClientSession, url: str, body: AsyncIterator[bytes]) -> Receipt:
    """Raises Overloaded for what a later try may mend, InvalidInput for every other refusal."""
    try:
        async with session.post(url, data=body, headers={"Content-Type": "application/x-ndjson"}) as response:
            answer = await response.read()
    except aiohttp.ClientError as error:
        raise Overloaded("The service did not answer:", f"{error} What it stored before counts once: send again.") from error
    if response.status == UNAVAILABLE:
        raise Overloaded(_words(answer, response.status))
    if not response.ok:
        raise InvalidInput(_words(answer, response.status))
    try:
        return msgspec.json.decode(answer, type=Receipt)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{url} is not an address of this service: {error}") from error


async def _pieces(log: BinaryIO, show: Show) -> AsyncIterator[bytes]:
    size = lines = 0
    while piece := await asyncio.to_thread(_read, log):
        yield piece  # returns when the service has taken most of it
        size, lines = size + len(piece), lines + piece.count(b"\n")
        show(size, lines)


def _read(log: BinaryIO) -> bytes:
    return log.read(PIECE)


class _Refusal(msgspec.Struct):
    message: str = ""
    detail: str = ""


def _words(answer: bytes, status: int) -> str:
    try:
        refusal = msgspec.json.decode(answer, type=_Refusal)
    except msgspec.MsgspecError:
        return f"The service answered {status}."
    return f"{status}: {refusal.message} {refusal.detail}".rstrip()


def _print(receipt: Receipt) -> None:
    print(
        f"{receipt.accepted} records accepted, {receipt.duplicate} known already, {receipt.rejected_count} lines rejected, "
        f"{receipt.skipped} entries about something else"
    )
    for rejection in receipt.rejected[:SHOWN]:
        print(f"line {rejection.line}: {rejection.error}", file=sys.stderr)
    if receipt.rejected_count > SHOWN:
        print(f"… and {receipt.rejected_count - SHOWN} more", file=sys.stderr)
