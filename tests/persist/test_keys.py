"""Ingest keys and the origins they are bound to."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from collector.persist import keys
from collector.persist.engine import Store
from collector.persist.projects import Project, create_project
from collector.persist.tables import ingest_keys
from collector.wire.errors import CollectorError, Conflict, InvalidInput, NotFound
from collector.wire.identity import IngestKey, KeyKind

NOW = 1_768_384_800_000
GIVEN = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


async def new_project(store: Store, name: str = "shop") -> Project:
    """A project to make keys of."""
    return await store.transact(partial(create_project, name=name, now=NOW))


async def new_key(store: Store, kind: KeyKind, *, origins: tuple[str, ...] = (), key: str | None = None) -> str:
    """A key of the project "shop"."""
    project = await new_project(store)
    make = partial(
        keys.create_key, project_id=project.id, kind=kind, deployment="d-1", now=NOW, allowed_origins=origins, key=key
    )
    return await store.transact(make)


async def test_a_browser_key_can_be_shown_again(store: Store) -> None:
    """It is public by nature: its text stands in the store."""
    key = await new_key(store, KeyKind.BROWSER)

    [listing] = await store.read(keys.list_keys)
    assert listing.public_key == key
    assert keys.is_key(key)


async def test_a_feed_key_is_stored_as_a_hash(store: Store) -> None:
    """Of a feed key only the id can be read."""
    key = await new_key(store, KeyKind.FEED)

    row = await store.read(lambda connection: connection.execute(select(ingest_keys)).one())
    assert row.public_key is None
    assert row.id == key[:10]
    assert key[10:] not in repr(tuple(row))


async def test_a_key_leads_to_its_project(store: Store) -> None:
    """With its kind, its deployment and its origins."""
    key = await new_key(store, KeyKind.BROWSER, origins=("HTTPS://Shop.Example:443/", "http://localhost:8080"), key=GIVEN)
    project = (await store.read(keys.list_keys))[0].key.project_id

    assert await store.read(partial(keys.find_key, text=key)) == IngestKey(
        id="0123456789",
        kind=KeyKind.BROWSER,
        project_id=project,
        project="shop",
        deployment="d-1",
        allowed_origins=frozenset({"https://shop.example", "http://localhost:8080"}),
    )


async def test_a_key_is_its_whole_text(store: Store) -> None:
    """A known id with another secret is no key, nor is anything of another shape."""
    key = await new_key(store, KeyKind.FEED, key=GIVEN)

    for other in (key[:-1] + "W", key[:10], key + "0", "", "\x00" * 32, "ä" * 32, key.lower()):
        assert await store.read(partial(keys.find_key, text=other)) is None


async def test_a_revoked_key_is_none(store: Store) -> None:
    """It is listed still, with the time of its end, and opens nothing."""
    key = await new_key(store, KeyKind.BROWSER)
    await store.transact(partial(keys.revoke_key, key_id=key[:10], now=NOW + 1))
    await store.transact(partial(keys.revoke_key, key_id=key[:10], now=NOW + 2))

    assert await store.read(partial(keys.find_key, text=key)) is None
    assert await store.read(partial(keys.live_keys, ids={key[:10]})) == {}
    assert [listing.revoked_at for listing in await store.read(keys.list_keys)] == [NOW + 1]


async def test_live_keys_are_those_asked_for(store: Store) -> None:
    """By id, and no others."""
    key = await new_key(store, KeyKind.FEED)
    other = await new_project(store, "other")
    await store.transact(partial(keys.create_key, project_id=other.id, kind=KeyKind.FEED, deployment="d-1", now=NOW))

    live = await store.read(partial(keys.live_keys, ids={key[:10], "unknown000"}))
    assert live == {key[:10]: await store.read(partial(keys.find_key, text=key))}


async def test_keys_are_listed_by_project(store: Store) -> None:
    """One project's keys are not another's."""
    await new_key(store, KeyKind.FEED)
    other = await new_project(store, "other")

    assert len(await store.read(keys.list_keys)) == 1
    assert await store.read(partial(keys.list_keys, project_id=other.id)) == []


async def test_what_cannot_be_a_key_is_not_made(store: Store) -> None:
    """No such project, no such shape, an id that is taken, origins on a feed key: each has its error."""
    project = await new_project(store)
    make = partial(keys.create_key, kind=KeyKind.FEED, deployment="d-1", now=NOW)
    await store.transact(partial(make, project_id=project.id, key=GIVEN))

    for error, wrong in (
        (NotFound, partial(make, project_id=project.id + 1)),
        (InvalidInput, partial(make, project_id=project.id, key="with-dash" + "0" * 23)),
        (Conflict, partial(make, project_id=project.id, key=GIVEN[:10] + "x" * 22)),
        (InvalidInput, partial(make, project_id=project.id, allowed_origins=["https://shop.example"])),
    ):
        with pytest.raises(error):
            await store.transact(wrong)


async def test_an_unknown_key_cannot_be_revoked(store: Store) -> None:
    """Whether or not it could be the id of one."""
    for unknown in ("0123456789", "", "\x00"):
        with pytest.raises(NotFound):
            await store.transact(partial(keys.revoke_key, key_id=unknown, now=NOW))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        (" HTTPS://Shop.Example:443/ ", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_written_as_browsers_do(text: str, origin: str) -> None:
    """Whatever an operator types, it equals what a document's origin is normalized to."""
    assert keys.origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "null",
        "shop.example",
        "//shop.example",
        "https://",
        "https://*.shop.example",
        "https://shop.example/path",
        "https://shop.example?q",
        "https://shop.example#f",
        "https://user@shop.example",
        "https://shop.example:99999",
        "https://shop.example:port",
        "https://[::1",
        "https://shop example",
        "data:text/plain,x",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """A list that could never match is a mistake, and said to be one."""
    with pytest.raises(InvalidInput) as refusal:
        keys.origin(text)
    assert refusal.value.validations[0].field == "allowed_origins"


@given(st.text())
def test_any_text_is_an_origin_or_refused(text: str) -> None:
    """Nothing else comes out, and an origin is its own origin."""
    try:
        origin = keys.origin(text)
    except CollectorError:
        return
    assert keys.origin(origin) == origin
