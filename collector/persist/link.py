"""One end of the connection between a worker and the main process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

from collector.wire.frames import Frame, Splitter, frame_bytes, frame_of
from collector.wire.messages import Unreadable

log = structlog.get_logger(__name__)


class Link(asyncio.Protocol):
    """Sends frames, and hands over those that come. Whoever sends what is no frame is cut off.

    How much may wait to be sent is bounded by who sends: a worker has few batches under way, and each gets one answer.

    Args:
        take: called with each frame.
        ended: called once, when the connection has ended.
    """

    def __init__(self, take: Callable[[Frame], None], ended: Callable[[], None]) -> None:
        self._take = take
        self._ended = ended
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to send to."""
        self._transport = transport  # type: ignore[assignment] # of a stream it is one

    def data_received(self, data: bytes) -> None:
        """Hand over the frames that end within ``data``."""
        try:
            for content in self._splitter.split(data):
                self._take(frame_of(content))
        except Unreadable as error:
            log.error("the other process sends what is no frame", error=str(error))  # noqa: TRY400 — its words are enough
            self.cut()

    def connection_lost(self, _error: Exception | None) -> None:
        """Say that it has ended."""
        self._transport = None
        self._ended()

    def send(self, frame: Frame) -> None:
        """Send ``frame``; to whoever has gone nothing is sent."""
        self.write(frame_bytes(frame))

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """End the connection once all is sent."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def over(self, connected: socket.socket) -> None:
        """Use ``connected``, a Unix stream socket, from now on."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=connected)
