"""The one answer that nearly every report gets, ready to be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter


class FixedAnswer(web.Response):
    """A 200 that is the same for every request but for its date: one object answers them all, each in one write.

    aiohttp copies, completes, checks and encodes the headers of every response, which is two fifths of what a bare handler
    costs (``docs/decisions/0009``). Nothing in these ever changes; what is sent is the same, byte for byte.

    Args:
        body: what follows the headers.
        headers: all but ``Content-Length`` and ``Date``, which aiohttp adds too.
        now: milliseconds since the epoch.
    """

    def __init__(self, body: bytes, headers: Mapping[str, str], now: Callable[[], int]) -> None:
        super().__init__(body=body, headers=headers)
        self._content = body
        self._now = now
        self._second = -1  # since the epoch: the date in _message
        self._message = b""

    @property
    def keep_alive(self) -> bool:
        """True: no request gets it that ends its connection."""
        return True

    def to(self, request: web.BaseRequest) -> web.Response:
        """The answer to ``request``: this one, unless it has to say what becomes of the connection."""
        if request.keep_alive and request.version == HttpVersion11:
            return self
        return self.common()

    def common(self) -> web.Response:
        """The same answer as aiohttp makes it, for whoever changes its headers."""
        return web.Response(body=self._content, headers=self.headers)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Send all of it. Like every write this waits for a client that does not read."""
        second = self._now() // 1000
        if second != self._second:
            self._second, self._message = second, self._dated(second)
        await request.writer.write_eof(self._message)
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all is sent."""

    def _dated(self, second: int) -> bytes:
        added = {"Content-Length": str(len(self._content)), "Date": formatdate(second, usegmt=True)}
        lines = [f"{name}: {value}" for name, value in [*self.headers.items(), *added.items()]]
        return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + self._content
