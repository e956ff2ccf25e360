"""Users and tokens."""

from __future__ import annotations

import hashlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from collector.persist import accounts
from collector.persist.engine import Store
from collector.persist.tables import tokens
from collector.wire.errors import Conflict, InvalidInput, NotFound
from collector.wire.identity import Role, Scope, User

NOW = 1_768_384_800_000
HOUR_MS = 3_600_000
GIVEN = "abcDEF0123-ABCDEFGHIJKLMNOPQRSTUV"


async def new_user(store: Store) -> User:
    """A user named grace."""
    return await store.transact(partial(accounts.create_user, username="Grace", role=Role.AUDITOR, now=NOW))


async def test_a_user_is_found_by_name_in_any_case_and_by_id(store: Store) -> None:
    """Names are kept in lower case and asked for in any."""
    user = await new_user(store)

    assert user.username == "grace"
    assert await store.read(partial(accounts.user_by_name, username="GRACE")) == user
    assert await store.read(partial(accounts.user_by_id, user_id=user.id)) == user
    assert await store.read(accounts.list_users) == [user]


async def test_a_name_is_given_once(store: Store) -> None:
    """A second user of the same name is a conflict, whatever the case."""
    await new_user(store)

    with pytest.raises(Conflict, match="exists already"):
        await store.transact(partial(accounts.create_user, username="GRACE", role=Role.OWNER, now=NOW))


async def test_a_name_that_is_none_is_refused_and_not_found(store: Store) -> None:
    """Names that could be mistaken for something else cannot be made, and asking for them is no error of the database."""
    for name in ("", "me", "Me", "a b", "-a", "a-", "a--b", "a_b", "ä", "x" * 33, "a\n", "\x00", "\ud800"):
        with pytest.raises(InvalidInput) as refusal:
            await store.transact(partial(accounts.create_user, username=name, role=Role.OWNER, now=NOW))
        assert refusal.value.validations[0].field == "username"
        with pytest.raises(NotFound):
            await store.read(partial(accounts.user_by_name, username=name))


async def test_an_unknown_id_is_not_found(store: Store) -> None:
    """Whether or not it could be an id."""
    for user_id in ("", "x", "\x00", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(NotFound):
            await store.read(partial(accounts.user_by_id, user_id=user_id))
        with pytest.raises(NotFound):
            await store.transact(partial(accounts.create_token, user_id=user_id, lifetime_ms=HOUR_MS, now=NOW))


async def test_a_token_is_stored_as_a_hash(store: Store) -> None:
    """The row holds the id and the SHA-256 of the secret, and the secret nowhere."""
    user = await new_user(store)
    token = await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW))

    token_id, secret = token.split("-")
    row = await store.read(lambda connection: connection.execute(select(tokens)).one())
    assert (len(token_id), len(secret)) == (10, 22)
    assert (row.id, row.secret_hash) == (token_id, hashlib.sha256(secret.encode()).digest())
    assert (row.created_at, row.expires_at) == (NOW, NOW + HOUR_MS)
    assert secret not in repr(tuple(row))


async def test_a_token_leads_to_its_user(store: Store) -> None:
    """By its id, with what is needed to judge the rest of it."""
    user = await new_user(store)
    await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token=GIVEN))

    found = await store.read(partial(accounts.find_token, token_id="abcDEF0123"))
    assert found is not None
    assert found == (user, hashlib.sha256(b"ABCDEFGHIJKLMNOPQRSTUV").digest(), NOW + HOUR_MS, None)


async def test_a_revoked_token_leads_nowhere(store: Store) -> None:
    """To revoke it twice changes nothing; to revoke what never was is an error."""
    user = await new_user(store)
    await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token=GIVEN))

    for _ in range(2):
        await store.transact(partial(accounts.revoke_token, token_id="abcDEF0123", now=NOW))

    assert await store.read(partial(accounts.find_token, token_id="abcDEF0123")) is None
    for unknown in ("0123456789", "\x00"):
        with pytest.raises(NotFound):
            await store.transact(partial(accounts.revoke_token, token_id=unknown, now=NOW))


async def test_a_token_id_is_given_once(store: Store) -> None:
    """A second token with the same id is a conflict, also with another secret."""
    user = await new_user(store)
    await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token=GIVEN))

    with pytest.raises(Conflict):
        await store.transact(
            partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token="abcDEF0123-" + "x" * 22)
        )


async def test_a_token_must_be_one(store: Store) -> None:
    """One that clients could not send, or that anyone could guess, is refused, and so is a lifetime of nothing."""
    user = await new_user(store)
    for token in ("", "secret", GIVEN + "W", GIVEN[:-1], GIVEN.replace("-", ""), GIVEN.replace("a", "ä"), GIVEN + "\n"):
        with pytest.raises(InvalidInput, match="ID-SECRET"):
            await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token=token))
    with pytest.raises(InvalidInput, match="lifetime"):
        await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=0, now=NOW))


async def test_use_is_noted_at_most_hourly(store: Store) -> None:
    """Within the hour the first time stands; after it the next one is noted."""
    user = await new_user(store)
    await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token=GIVEN))

    async def last_used_after(now: int) -> int | None:
        await store.transact(partial(accounts.touch_tokens, token_ids={"abcDEF0123"}, now=now))
        found = await store.read(partial(accounts.find_token, token_id="abcDEF0123"))
        return found and found.last_used_at

    assert await last_used_after(NOW) == NOW
    assert await last_used_after(NOW + HOUR_MS - 1) == NOW
    assert await last_used_after(NOW + HOUR_MS) == NOW + HOUR_MS


@given(st.text())
def test_only_tokens_look_like_tokens(text: str) -> None:
    """Whatever passes for a token has one dash, 33 ASCII characters, and no other sign."""
    assert not accounts.is_token(text) or (len(text) == 33 and text.isascii() and text.replace("-", "", 1).isalnum())


def test_random_text_is_not_repeated() -> None:
    """Two secrets differ and are made of letters and digits."""
    first, second = accounts.random_text(22), accounts.random_text(22)
    assert first != second
    assert (first + second).isalnum()
    assert (first + second).isascii()


async def test_a_token_keeps_its_name_and_scopes(store: Store) -> None:
    """They come back with the user whom it leads to; a scope that this version does not know opens nothing."""
    user = await new_user(store)
    create = partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, name="grafana")
    await store.transact(partial(create, token=GIVEN, scopes={Scope.METRICS}))

    found = await store.read(partial(accounts.find_token, token_id="abcDEF0123"))
    (listed,) = await store.read(partial(accounts.list_tokens, user_id=user.id))
    assert found is not None
    assert found.user.scopes == frozenset({Scope.METRICS})
    assert (listed.name, listed.scopes, listed.user_id) == ("grafana", frozenset({Scope.METRICS}), user.id)

    await store.transact(lambda connection: connection.execute(update(tokens).values(scopes='["later:read"]')))
    found = await store.read(partial(accounts.find_token, token_id="abcDEF0123"))
    assert found is not None
    assert found.user.scopes == frozenset()


async def test_a_user_has_so_many_tokens(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is a conflict, and revoking does not make room: the row is kept for a while."""
    monkeypatch.setattr(accounts, "TOKENS_PER_USER", 1)
    user = await new_user(store)
    create = partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW)
    await store.transact(partial(create, token=GIVEN))
    await store.transact(partial(accounts.revoke_token, token_id="abcDEF0123", now=NOW))

    with pytest.raises(Conflict, match="tokens"):
        await store.transact(create)


async def test_a_token_is_ended_by_way_of_its_own_user(store: Store) -> None:
    """Named as another user's it is not found."""
    user = await new_user(store)
    await store.transact(partial(accounts.create_token, user_id=user.id, lifetime_ms=HOUR_MS, now=NOW, token=GIVEN))
    revoke = partial(accounts.revoke_token, token_id="abcDEF0123", now=NOW)

    with pytest.raises(NotFound):
        await store.transact(partial(revoke, user_id="00000000-0000-0000-0000-000000000000"))
    await store.transact(partial(revoke, user_id=user.id))
    assert await store.read(partial(accounts.find_token, token_id="abcDEF0123")) is None
