"""A Coder server that is asked about itself, with the token of one of its users."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import aiohttp

from collector.wire.config import Upstream
from collector.wire.errors import InvalidReport

FETCH_WITHIN_S = 30.0
ANSWER_LIMIT = 256 * 1024  # bytes; stats are 600
TOKEN_LIMIT = 4 * 1024
OK = 200

# What asking may raise that is the server's fault, or its token's.
FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValueError, InvalidReport)


class Answer(NamedTuple):
    """The body of an answer, and what its ``Date`` header says."""

    body: bytes
    date: str | None


class CoderServer:
    """Answers of one server. Its token is read anew for each session, and goes to this server only.

    Args:
        upstream: where the server is, and in which file its token.
        fetch_within: seconds that an answer may take.
    """

    def __init__(self, upstream: Upstream, *, fetch_within: float = FETCH_WITHIN_S) -> None:
        self.url = upstream.url
        self._token_file = upstream.token_file
        self._fetch_within = fetch_within

    def session(self) -> aiohttp.ClientSession:
        """A session for some answers; raises one of ``FAILURES`` when there is no token."""
        # A session each time: no cookie of the server is kept, and a connection is not held for half a minute of silence.
        return aiohttp.ClientSession(
            trust_env=True,
            headers={"Accept": "application/json", "Coder-Session-Token": _token(self._token_file)},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._fetch_within),
        )

    async def answer(self, session: aiohttp.ClientSession, path: str, *, limit: int = ANSWER_LIMIT) -> Answer:
        """The answer of ``path``, of at most ``limit`` bytes; raises one of ``FAILURES`` when there is none."""
        # No redirect is followed: the token belongs to the host that was configured.
        async with session.get(self.url.rstrip("/") + path, allow_redirects=False) as response:
            if response.status != OK:
                raise InvalidReport(f"The answer has status {response.status}.")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise InvalidReport("The answer is too long.")
            return Answer(bytes(body), response.headers.get("Date"))


def words(error: Exception) -> str:
    """What is logged of one of ``FAILURES``, in words of our own: an error of aiohttp may repeat what a server sent."""
    return " ".join(f"{error.message} {error.detail}".split()) if isinstance(error, InvalidReport) else type(error).__name__


def _token(file: str) -> str:
    with Path(file).open("rb") as opened:
        token = opened.read(TOKEN_LIMIT).strip()
    if not token or not token.isascii() or not token.decode("ascii").isprintable():
        raise InvalidReport("The token file does not hold a token.")
    return token.decode("ascii")
