"""Who sends reports, as no more than a mark: enough to count different clients, not to find one again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from aiohttp import web

from collector.persist.sketch import mark

DAY_MS = 86_400_000
CACHED_AT_MOST = 20_000  # clients of one day: some 5 MB; beyond it they are forgotten, which costs a hash each
USER_AGENT_READ = 256


class Clients:
    """The marks of clients: of a hash of address and browser under a key that changes every day (UTC).

    Args:
        secret: of this service; the key of a day derives from it, so that all its processes say the same.
        address: the client address of a request, behind trusted proxies too.
    """

    def __init__(self, secret: bytes, *, address: Callable[[web.BaseRequest], str]) -> None:
        self._secret = secret
        self._address = address
        self._day = -1
        self._key = b""
        self._marks: dict[tuple[str, str], int] = {}

    def mark(self, request: web.BaseRequest, now: int) -> int:
        """The mark of whoever sent ``request`` at ``now`` (ms)."""
        if now // DAY_MS != self._day or len(self._marks) >= CACHED_AT_MOST:
            self._turn_to(now // DAY_MS)
        client = self._address(request), request.headers.get("User-Agent", "")[:USER_AGENT_READ]
        known = self._marks.get(client)
        if known is None:
            text = "\0".join(client).encode("utf-8", "replace")
            known = self._marks[client] = mark(hashlib.blake2b(text, digest_size=8, key=self._key).digest())
        return known

    def _turn_to(self, day: int) -> None:
        self._day = day
        self._key = hashlib.blake2b(b"%d" % day, key=self._secret).digest()
        self._marks = {}
