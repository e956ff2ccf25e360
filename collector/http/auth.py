"""Who is calling: the credential that a request carries, and whom the store knows by it.

A session token is looked for in the order cookie, query, header, Bearer, ``access_token``, and the refusals are worded
as Coder words them, because its clients show them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import structlog
from aiohttp import web

from collector.http.agents import Agents
from collector.persist.accounts import (
    ID_LENGTH,
    SECRET_LENGTH,
    TOUCH_EVERY_MS,
    is_token,
    secret_hash,
    touch_tokens,
)
from collector.persist.engine import Store, storage_failed
from collector.persist.keys import KEY_LENGTH, find_key, is_key, live_keys, newest_browser_keys
from collector.persist.sessions import SLIDE_EVERY_MS, Presented, find_presented, slide_sessions
from collector.wire.errors import Overloaded, Unauthorized
from collector.wire.identity import IngestKey, KeyKind, User

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

TOKEN_NAME = "coder_session_token"  # noqa: S105 — the name of a cookie and of a parameter
TOKEN_HEADER = "Coder-Session-Token"  # noqa: S105

SIGNED_OUT = "You are signed out or your session has expired. Please sign in again to continue."
NO_TOKEN = f'Cookie "{TOKEN_NAME}" or query parameter must be provided.'
BAD_FORMAT = "Invalid API key format: "
UNKNOWN_TOKEN = "API key is invalid."  # noqa: S105
WRONG_SECRET = "API key secret is invalid."  # noqa: S105
UNKNOWN_KEY = "The ingest key is unknown or was revoked."

TRUST_TOKEN_S = 4.0  # and no longer: a revoked token stops within 5 seconds
REFRESH_KEYS_S = 2.0  # the same for keys, with one failed attempt to spare
REMEMBERED_AT_ONCE = 1_000  # browser keys
CACHED_AT_MOST = 10_000  # entries of one cache: some 5 MB

Check = Callable[[], None]  # raises RateLimited
Write = Callable[[Callable[[Any], None]], Awaitable[None]]  # runs work on a connection, in a transaction

log = structlog.get_logger(__name__)


class _Trusted(NamedTuple):
    found: Presented
    until: float  # of the monotonic clock


def session_token(request: web.BaseRequest) -> str:
    """The session token that ``request`` carries, unchecked; empty when it carries none."""
    return (
        request.cookies.get(TOKEN_NAME)
        or request.query.get(TOKEN_NAME)
        or request.headers.get(TOKEN_HEADER)
        or bearer(request)
        or request.query.get("access_token")
        or ""
    )


def bearer(request: web.BaseRequest) -> str:
    """What follows ``Authorization: Bearer``; empty when nothing does."""
    return _authorization(request, "bearer")


def basic_password(request: web.BaseRequest) -> str | None:
    """The password of ``Authorization: Basic``, whatever the user name; None without that header, empty when it is broken."""
    encoded = _authorization(request, "basic")
    if not encoded:
        return None
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _authorization(request: web.BaseRequest, scheme: str) -> str:
    given, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if given.lower() == scheme else ""


class Credentials:
    """Users by token and ingest keys by their text, remembered for as long as a revocation may take to be noticed.

    Only what the store confirmed is remembered, so a token or key that another process makes works at once, and what is
    unknown is asked for every time. Secrets are looked up by their SHA-256: how long that takes says nothing about them.

    Args:
        store: where the accounts are.
        now: milliseconds since the epoch, for expiry.
        clock: monotonic seconds, for trust.
        session_ms: for how long a session lasts from its last use; None: its end is fixed.
        cached_at_most: entries of one cache; past it the oldest is forgotten and costs a read again.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], int],
        clock: Callable[[], float],
        session_ms: int | None = None,
        cached_at_most: int = CACHED_AT_MOST,
    ) -> None:
        self.agents = Agents(store, clock=clock)
        self._store = store
        self._now = now
        self._clock = clock
        self._session_ms = session_ms
        self._cached_at_most = cached_at_most
        self._tokens: OrderedDict[bytes, _Trusted] = OrderedDict()
        self._browser_keys: OrderedDict[str, IngestKey] = OrderedDict()
        self._feed_keys: OrderedDict[bytes, IngestKey] = OrderedDict()
        self._used: set[str] = set()  # ids of the tokens whose last_used_at is due
        self._used_sessions: set[str] = set()  # ids of the sessions whose end is to be moved

    async def user(self, token: str, before_lookup: Check | None = None) -> User:
        """The user that ``token``, which may be a session, belongs to.

        ``before_lookup`` may refuse to ask the store about a token that it has not confirmed before.

        Raises:
            Unauthorized: with the reason as its detail.
            Overloaded: when the store had to be asked and could not answer.
        """
        return (await self._good(token, before_lookup)).token.user

    async def token_id(self, token: str) -> str:
        """The id of ``token``, or of the token that a session was begun with. Raises as :meth:`user` does."""
        return (await self._good(token, None)).token_id

    def forget(self, token: str) -> None:
        """Remember ``token`` no longer: it has just been ended."""
        self._tokens.pop(_sha256(token), None)

    async def _good(self, token: str, before_lookup: Check | None) -> Presented:
        presented_id, secret = _parts(token)
        if not is_token(token):
            raise Unauthorized(SIGNED_OUT, UNKNOWN_TOKEN)
        presented = _sha256(token)
        trusted = self._tokens.get(presented)
        if trusted is None and before_lookup is not None:
            before_lookup()
        if trusted is None or self._clock() >= trusted.until:
            trusted = await self._confirm(presented, presented_id, secret)
        found, now = trusted.found, self._now()
        stored = found.token
        if stored.expires_at <= now:
            raise Unauthorized(SIGNED_OUT, f'API key expired at "{_go_time(stored.expires_at)}".')
        if stored.last_used_at is None or stored.last_used_at <= now - TOUCH_EVERY_MS:
            self._used.add(found.token_id)
        if found.session_ends is not None and found.session_ends <= now + (self._session_ms or 0) - SLIDE_EVERY_MS:
            self._used_sessions.add(presented_id)
        return found

    def known_key(self, text: str) -> IngestKey | None:
        """The key that ``text`` is, if it is remembered. Costs no I/O; None does not mean that it is unknown to the store."""
        key = self._browser_keys.get(text)
        if key is not None or len(text) != KEY_LENGTH:
            return key
        return self._feed_keys.get(_sha256(text))

    async def key(self, text: str, before_lookup: Check | None = None) -> IngestKey:
        """The key that ``text`` is. One that is remembered stays good while the store cannot be read.

        ``before_lookup`` may refuse to ask the store about a key that is not remembered.

        Raises:
            Unauthorized: when no key reads so, or it was revoked.
            Overloaded: when the store had to be asked and could not answer.
        """
        key = self.known_key(text)
        if key is not None:
            return key
        if not is_key(text):
            raise Unauthorized(UNKNOWN_KEY)
        if before_lookup is not None:
            before_lookup()
        found = await self._read(partial(find_key, text=text))
        if found is None:
            raise Unauthorized(UNKNOWN_KEY)
        if found.kind is KeyKind.BROWSER:
            self._remember(self._browser_keys, text, found)
        else:
            self._remember(self._feed_keys, _sha256(text), found)
        return found

    async def refresh(self) -> None:
        """Forget the keys that were revoked, and read the others anew. When the store fails it raises, and all stay good.

        Browser keys are remembered before their first use: after a restart a whole site's visitors come at once, and the
        store need not be readable then.
        """
        caches: tuple[OrderedDict[Any, IngestKey], ...] = (self._browser_keys, self._feed_keys)
        for presented, key in await self._store.read(partial(newest_browser_keys, limit=REMEMBERED_AT_ONCE)):
            self._remember(self._browser_keys, presented, key)
        ids = {key.id for cache in caches for key in cache.values()}
        live = await self._store.read(partial(live_keys, ids=ids)) if ids else {}
        for cache in caches:
            for presented, key in list(cache.items()):
                if key.id in live:
                    cache[presented] = live[key.id]
                elif key.id in ids:  # else it was remembered during the read, which knows nothing of it
                    del cache[presented]

    async def note_use(self, write: Write) -> None:
        """Note through ``write`` that the tokens presented since the last time were used. When it fails, the next one does."""
        used, sessions = self._used, self._used_sessions
        self._used, self._used_sessions = set(), set()
        try:
            if used:
                await write(partial(touch_tokens, token_ids=used, now=self._now()))
            if sessions:
                lifetime_ms = self._session_ms or 0
                await write(partial(slide_sessions, session_ids=sessions, lifetime_ms=lifetime_ms, now=self._now()))
        except BaseException:
            self._used |= used
            self._used_sessions |= sessions
            raise

    async def _confirm(self, presented: bytes, presented_id: str, secret: str) -> _Trusted:
        asked_at = self._clock()
        found = await self._read(partial(find_presented, presented_id=presented_id))
        if found is None:
            self._tokens.pop(presented, None)
            raise Unauthorized(SIGNED_OUT, UNKNOWN_TOKEN)
        if not hmac.compare_digest(found.token.secret_hash, secret_hash(secret)):
            raise Unauthorized(SIGNED_OUT, WRONG_SECRET)
        trusted = _Trusted(found, asked_at + TRUST_TOKEN_S)
        self._remember(self._tokens, presented, trusted)
        return trusted

    def _remember(self, cache: OrderedDict[K, V], key: K, value: V) -> None:
        cache[key] = value
        if len(cache) > self._cached_at_most:
            cache.popitem(last=False)

    async def _read(self, work: Callable[[Any], T]) -> T:
        try:
            return await self._store.read(work)
        except Exception as error:
            if not storage_failed(error):
                raise
            log.warning("the store cannot be read", error=type(error).__name__)
            raise Overloaded("The service cannot look up who is calling. Try again later.") from error


def _parts(token: str) -> tuple[str, str]:
    if not token:
        raise Unauthorized(SIGNED_OUT, NO_TOKEN)
    parts = token.split("-")
    if len(parts) != 2:  # noqa: PLR2004 — ID-SECRET
        raise Unauthorized(SIGNED_OUT, f"{BAD_FORMAT}incorrect amount of API key parts, expected 2 got {len(parts)}")
    token_id, secret = parts
    for name, text, expected in (("ID", token_id, ID_LENGTH), ("secret", secret, SECRET_LENGTH)):
        length = len(text.encode("utf-8", "replace"))
        if length != expected:
            raise Unauthorized(SIGNED_OUT, f"{BAD_FORMAT}invalid API key {name} length, expected {expected} got {length}")
    return token_id, secret


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _go_time(milliseconds: int) -> str:
    """The time as Go prints it: ``2026-01-14 10:00:00.25 +0000 UTC``."""
    seconds, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
