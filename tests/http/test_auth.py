"""Which credential a request carries, and whom the store knows by it."""

from __future__ import annotations

import base64
from functools import partial

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from collector.http import auth
from collector.http.auth import Credentials
from collector.persist.accounts import create_token, find_token, revoke_token, user_by_name
from collector.persist.engine import Store, open_store
from collector.persist.keys import create_key, revoke_key
from collector.persist.meta import FirstSecrets
from collector.persist.projects import project_by_name
from collector.wire.errors import Overloaded, RateLimited, Unauthorized
from collector.wire.identity import KeyKind, Role
from tests.http.conftest import NOW, Clock

TOKEN = "abcDEF0123-ABCDEFGHIJKLMNOPQRSTUV"


def a_request(query: str = "", **headers: str) -> web.Request:
    """A request with these headers; an underscore stands for a dash."""
    return make_mocked_request(
        "GET", f"/api/v2/thing{query}", headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


async def hide(store: Store, table: str) -> None:
    """Make every read of ``table`` fail, as if the store were broken."""
    await store.transact(lambda connection: connection.execute(text(f"ALTER TABLE {table} RENAME TO hidden")))


async def show(store: Store, table: str) -> None:
    """End what :func:`hide` began."""
    await store.transact(lambda connection: connection.execute(text(f"ALTER TABLE hidden RENAME TO {table}")))


def test_the_first_of_five_places_wins() -> None:
    """Cookie, query, header, Bearer, access_token: each beats those after it."""
    everything = {
        "Cookie": "coder_session_token=cookie",
        "Coder_Session_Token": "header",
        "Authorization": "Bearer bearer",
    }
    found = []
    query = "?coder_session_token=query&access_token=access"
    found.append(auth.session_token(a_request(query, **everything)))
    del everything["Cookie"]
    found.append(auth.session_token(a_request(query, **everything)))
    query = "?coder_session_token=&access_token=access"  # empty is absent
    found.append(auth.session_token(a_request(query, **everything)))
    del everything["Coder_Session_Token"]
    found.append(auth.session_token(a_request(query, **everything)))
    found.append(auth.session_token(a_request(query)))
    found.append(auth.session_token(a_request()))

    assert found == ["cookie", "query", "header", "bearer", "access", ""]


def test_authorization_is_read_leniently() -> None:
    """The scheme in any case, space around the token; another scheme is no token."""
    assert auth.bearer(a_request(Authorization="bEARER   token ")) == "token"
    assert auth.bearer(a_request(Authorization="Basic dXNlcjprZXk=")) == ""
    assert auth.basic_password(a_request(Authorization="basic dXNlcjprZXk=")) == "key"
    assert auth.basic_password(a_request(Authorization="Basic " + base64.b64encode(b":key:more").decode())) == "key:more"
    assert auth.basic_password(a_request(Authorization="Basic !")) == ""
    assert auth.basic_password(a_request(Authorization="Basic dXNlcg==")) == ""
    assert auth.basic_password(a_request(Authorization="Bearer token")) is None
    assert auth.basic_password(a_request()) is None


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        ("", 'Cookie "coder_session_token" or query parameter must be provided.'),
        ("hunter2", "Invalid API key format: incorrect amount of API key parts, expected 2 got 1"),
        ("a-b-c", "Invalid API key format: incorrect amount of API key parts, expected 2 got 3"),
        ("short-" + "x" * 22, "Invalid API key format: invalid API key ID length, expected 10 got 5"),
        ("ä" * 10 + "-" + "x" * 22, "Invalid API key format: invalid API key ID length, expected 10 got 20"),
        ("x" * 10 + "-short", "Invalid API key format: invalid API key secret length, expected 22 got 5"),
        (TOKEN, "API key is invalid."),
        ("_" * 10 + "-" + "x" * 22, "API key is invalid."),
        ("ä" * 5 + "-" + "x" * 22, "API key is invalid."),
        ("\x00" * 10 + "-" + "\x00" * 22, "API key is invalid."),
    ],
)
async def test_a_refused_token_is_told_why(credentials: Credentials, token: str, detail: str) -> None:
    """One message, and the details that Coder gives."""
    with pytest.raises(Unauthorized) as refusal:
        await credentials.user(token)
    assert refusal.value.message == "You are signed out or your session has expired. Please sign in again to continue."
    assert refusal.value.detail == detail


async def test_a_token_is_its_whole_text(credentials: Credentials, secrets: FirstSecrets) -> None:
    """A known id with another secret is refused, also right after the right one."""
    admin = await credentials.user(secrets.token)
    assert (admin.username, admin.role) == ("admin", Role.OWNER)

    with pytest.raises(Unauthorized) as refusal:
        await credentials.user(secrets.token[:11] + "x" * 22)
    assert refusal.value.detail == "API key secret is invalid."
    assert await credentials.user(secrets.token) == admin


@pytest.mark.usefixtures("secrets")
async def test_a_token_expires_on_time(credentials: Credentials, store: Store, clock: Clock) -> None:
    """To the millisecond, also while it is remembered."""
    admin = await store.read(partial(user_by_name, username="admin"))
    await store.transact(partial(create_token, user_id=admin.id, lifetime_ms=1000, now=NOW, token=TOKEN))
    clock.at = 0.999
    assert await credentials.user(TOKEN) == admin

    clock.at = 1.0
    with pytest.raises(Unauthorized) as refusal:
        await credentials.user(TOKEN)
    assert refusal.value.detail == 'API key expired at "2026-01-14 10:00:01.25 +0000 UTC".'


async def test_another_process_makes_and_revokes(
    credentials: Credentials, migrated_url: str, secrets: FirstSecrets, clock: Clock
) -> None:
    """What it makes works on the next request, though it was just refused; what it revokes stops within five seconds."""
    other = open_store(migrated_url)
    with pytest.raises(Unauthorized):
        await credentials.user(TOKEN)
    key = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
    with pytest.raises(Unauthorized):
        await credentials.key(key)

    admin = await other.read(partial(user_by_name, username="admin"))
    project = await other.read(partial(project_by_name, name="default"))
    await other.transact(partial(create_token, user_id=admin.id, lifetime_ms=60_000, now=NOW, token=TOKEN))
    await other.transact(partial(create_key, project_id=project.id, kind=KeyKind.FEED, deployment="d-1", now=NOW, key=key))
    assert await credentials.user(TOKEN) == admin
    assert (await credentials.key(key)).id == "0123456789"

    await other.transact(partial(revoke_token, token_id=TOKEN[:10], now=NOW))
    await other.transact(partial(revoke_key, key_id=key[:10], now=NOW))
    await other.transact(partial(revoke_key, key_id=secrets.browser_key[:10], now=NOW))
    await other.close()
    clock.at = auth.TRUST_TOKEN_S
    with pytest.raises(Unauthorized) as refusal:
        await credentials.user(TOKEN)
    assert refusal.value.detail == "API key is invalid."
    await credentials.refresh()  # what a job does every two seconds
    assert credentials.known_key(key) is None
    with pytest.raises(Unauthorized):
        await credentials.key(key)


async def test_known_keys_need_no_store(credentials: Credentials, store: Store, secrets: FirstSecrets) -> None:
    """Once confirmed, a key of either kind costs no read; without a store it stays good, and an unknown one is asked later."""
    assert credentials.known_key(secrets.browser_key) is None
    browser = await credentials.key(secrets.browser_key)
    feed = await credentials.key(secrets.feed_key)
    assert (browser.kind, feed.kind) == (KeyKind.BROWSER, KeyKind.FEED)

    await hide(store, "ingest_keys")
    with pytest.raises(DBAPIError):  # the schedule counts it
        await credentials.refresh()
    assert await credentials.key(secrets.browser_key) == credentials.known_key(secrets.browser_key) == browser
    assert await credentials.key(secrets.feed_key) == credentials.known_key(secrets.feed_key) == feed
    with pytest.raises(Overloaded):
        await credentials.key("0123456789ABCDEFGHIJKLMNOPQRSTUV")

    await show(store, "ingest_keys")
    await credentials.refresh()
    assert credentials.known_key(secrets.feed_key) == feed
    with pytest.raises(Unauthorized):
        await credentials.key("0123456789ABCDEFGHIJKLMNOPQRSTUV")


async def test_browser_keys_are_known_before_their_first_use(
    credentials: Credentials, store: Store, secrets: FirstSecrets
) -> None:
    """After a restart visitors come at once, and none of them waits for a store that cannot be read."""
    await credentials.refresh()
    await hide(store, "ingest_keys")
    assert (await credentials.key(secrets.browser_key)).kind is KeyKind.BROWSER


async def test_without_a_store_a_token_is_trusted_no_longer_than_with_one(
    credentials: Credentials, store: Store, secrets: FirstSecrets, clock: Clock
) -> None:
    """Four seconds; then it is Overloaded, which says try again, and not Unauthorized, which says sign in again."""
    await credentials.user(secrets.token)
    await hide(store, "tokens")
    clock.at = 3.9
    assert (await credentials.user(secrets.token)).username == "admin"

    clock.at = 4.0
    with pytest.raises(Overloaded):
        await credentials.user(secrets.token)


async def test_use_is_noted_in_the_background(credentials: Credentials, store: Store, secrets: FirstSecrets) -> None:
    """No request writes; a job does, through the writer it is given. What could not be written is written the next time."""

    def last_used_at(connection: Connection) -> int | None:
        found = find_token(connection, secrets.token[:10])
        return found and found.last_used_at

    await credentials.user(secrets.token)
    assert await store.read(last_used_at) is None
    await credentials.refresh()
    assert await store.read(last_used_at) is None

    async def fail(_work: object) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await credentials.note_use(fail)
    await credentials.note_use(store.transact)
    assert await store.read(last_used_at) == NOW
    await credentials.note_use(fail)  # nothing is left to note


async def test_what_is_remembered_is_bounded(store: Store, secrets: FirstSecrets, clock: Clock) -> None:
    """Past the bound the oldest is forgotten, which costs a read and refuses nobody."""
    credentials = Credentials(store, now=lambda: NOW, clock=clock, cached_at_most=1)
    project = await store.read(partial(project_by_name, name="default"))
    second = await store.transact(partial(create_key, project_id=project.id, kind=KeyKind.BROWSER, deployment="d-1", now=NOW))
    await credentials.key(secrets.browser_key)
    await credentials.key(second)

    assert credentials.known_key(secrets.browser_key) is None
    assert (await credentials.key(secrets.browser_key)).id == secrets.browser_key[:10]


async def test_only_what_is_unknown_is_asked_before_the_store(
    credentials: Credentials, secrets: FirstSecrets, clock: Clock
) -> None:
    """Whoever was confirmed passes, also when the trust in a token has run out; whoever was not is refused unread."""

    def refuse() -> None:
        raise RateLimited("too many", retry_after=60)

    for presented in (credentials.user(secrets.token, refuse), credentials.key(secrets.browser_key, refuse)):
        with pytest.raises(RateLimited):
            await presented

    await credentials.user(secrets.token)
    await credentials.key(secrets.browser_key)
    clock.at = auth.TRUST_TOKEN_S
    assert (await credentials.user(secrets.token, refuse)).username == "admin"
    assert (await credentials.key(secrets.browser_key, refuse)).kind is KeyKind.BROWSER


class NoStore:
    """A store that must not be asked."""

    dialect = "none"

    async def transact(self, _work: object) -> None:
        """Nothing may be written."""
        raise AssertionError

    async def read(self, _work: object) -> None:
        """Nothing may be read but an id that could be one: nobody has it."""


ANY_TEXT = (
    st.text() | st.text("abcXYZ019-", min_size=30, max_size=34) | st.from_regex(r"[a-z0-9]{10}-[a-z0-9]{22}", fullmatch=True)
)


@given(ANY_TEXT)
async def test_any_text_is_unauthorized_and_nothing_else(presented: str) -> None:
    """As a token and as a key, from an empty store."""
    nobody = Credentials(NoStore(), now=lambda: NOW, clock=Clock())  # type: ignore[arg-type]
    with pytest.raises(Unauthorized):
        await nobody.user(presented)
    assert nobody.known_key(presented) is None
    with pytest.raises(Unauthorized):
        await nobody.key(presented)


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00")))
def test_any_header_can_be_read(value: str) -> None:
    """Whatever stands in Authorization or Cookie, a text comes out."""
    for scheme in ("", "Basic ", "Bearer "):
        request = a_request(Authorization=scheme + value, Cookie=value)
        assert isinstance(auth.session_token(request), str)
        assert isinstance(auth.basic_password(request) or "", str)
