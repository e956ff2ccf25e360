"""The first start, and what is made once."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial

import pytest

from collector.persist import accounts, keys, meta, projects
from collector.persist.engine import Store, open_store
from collector.persist.projects import list_projects
from collector.wire.errors import InvalidInput, InvalidOption
from collector.wire.identity import KeyKind, Role
from collector.wire.projects import ProjectChange

NOW = 1_768_384_800_000
GIVEN = "abcDEF0123-ABCDEFGHIJKLMNOPQRSTUV"


async def test_first_start_makes_what_a_service_needs(store: Store) -> None:
    """An owner with a token, a project with a key of each kind, all of this deployment."""
    secrets = await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: None))
    deployment = await store.read(meta.deployment_id)

    assert secrets is not None
    token = await store.read(partial(accounts.find_token, token_id=secrets.token.partition("-")[0]))
    browser = await store.read(partial(keys.find_key, text=secrets.browser_key))
    feed = await store.read(partial(keys.find_key, text=secrets.feed_key))
    assert token is not None
    assert browser is not None
    assert feed is not None
    assert (token.user.username, token.user.role) == ("admin", Role.OWNER)
    assert (browser.kind, browser.project, browser.deployment) == (KeyKind.BROWSER, "default", deployment)
    assert (feed.kind, feed.project, feed.deployment) == (KeyKind.FEED, "default", deployment)
    assert str(uuid.UUID(deployment)) == deployment


async def test_secrets_are_told_once_and_not_by_accident(store: Store) -> None:
    """The second start makes nothing and tells nothing; the first one's answer does not print itself."""
    secrets = await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: None))

    assert await store.transact(partial(meta.first_start, now=NOW + 1, admin_token=lambda: GIVEN)) is None
    assert len(await store.read(keys.list_keys)) == 2
    assert secrets is not None
    assert secrets.token not in repr(secrets)
    assert secrets.feed_key not in repr(secrets)


async def test_the_operator_may_choose_the_token(store: Store) -> None:
    """The file it comes from may end in a newline. It is not among what is given out."""
    secrets = await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: GIVEN + "\n"))
    found = await store.read(partial(accounts.find_token, token_id="abcDEF0123"))

    assert secrets is not None
    assert secrets.token == ""
    assert found is not None
    assert found.secret_hash == accounts.secret_hash(GIVEN.partition("-")[2])


async def test_a_chosen_token_without_the_shape_stops_the_first_start(store: Store) -> None:
    """Nothing of it is stored, so that the next start with a better one is the first."""
    with pytest.raises(InvalidInput, match="ID-SECRET"):
        await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: "hunter2"))

    assert await store.read(accounts.list_users) == []
    assert await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: GIVEN)) is not None


async def test_the_token_is_asked_for_on_the_first_start_alone(store: Store) -> None:
    """Its file may be gone afterwards; when it is gone too early nothing is stored, and the next start is the first."""

    def gone() -> str:
        raise InvalidOption("COLLECTOR_ADMIN_TOKEN_FILE: cannot read it")

    with pytest.raises(InvalidOption):
        await store.transact(partial(meta.first_start, now=NOW, admin_token=gone))
    assert await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: GIVEN)) is not None
    assert await store.transact(partial(meta.first_start, now=NOW, admin_token=gone)) is None


async def test_what_is_there_already_is_taken(store: Store) -> None:
    """A user and a deployment id made before the first start, by the command line, are kept."""
    user = await store.transact(partial(accounts.create_user, username="admin", role=Role.AUDITOR, now=NOW))
    deployment = await store.transact(meta.deployment_id)

    assert await store.transact(partial(meta.first_start, now=NOW, admin_token=lambda: None)) is not None
    assert await store.read(accounts.list_users) == [user]
    assert await store.read(meta.deployment_id) == deployment


async def test_only_one_of_many_processes_starts_first(store: Store, migrated_url: str) -> None:
    """Eight that start at once make one admin, one project and two keys, and one of them has the secrets."""
    stores = [open_store(migrated_url) for _ in range(8)]
    try:
        made = await asyncio.gather(
            *(each.transact(partial(meta.first_start, now=NOW, admin_token=lambda: None)) for each in stores)
        )
    finally:
        await asyncio.gather(*(each.close() for each in stores))

    assert sum(secrets is not None for secrets in made) == 1
    assert len(await store.read(accounts.list_users)) == 1
    assert len(await store.read(list_projects)) == 1
    assert len(await store.read(keys.list_keys)) == 2


async def test_the_service_secret_stays(store: Store) -> None:
    """32 bytes, the same for whoever asks."""
    secret = await store.transact(meta.service_secret)

    assert len(secret) == 32
    assert await store.read(meta.service_secret) == secret


async def test_the_pages_report_under_a_key_of_their_own(store: Store) -> None:
    """It is made once, with its project, and is no longer given out once that project was retired."""
    key = await store.transact(partial(meta.own_browser_key, now=NOW))

    assert key is not None
    assert await store.transact(partial(meta.own_browser_key, now=NOW + 1)) == key
    found = await store.read(partial(keys.find_key, text=key))
    assert found is not None
    assert (found.kind, found.project) == (KeyKind.BROWSER, "self")

    change = partial(projects.change, name="self", changes=ProjectChange(retired=True), deployment="d", now=NOW)
    await store.transact(change)
    assert await store.transact(partial(meta.own_browser_key, now=NOW + 2)) is None
