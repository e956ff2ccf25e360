"""Projects and their names."""

from __future__ import annotations

from functools import partial

import pytest

from collector.persist import projects
from collector.persist.engine import Store
from collector.wire.errors import Conflict, InvalidInput, NotFound

NOW = 1_768_384_800_000


async def test_a_project_is_found_by_its_name(store: Store) -> None:
    """As it was made, and in the list by name."""
    site = await store.transact(partial(projects.create_project, name="team-a.site_1", now=NOW))
    first = await store.transact(partial(projects.create_project, name="a" * 64, now=NOW))

    assert await store.read(partial(projects.project_by_name, name="team-a.site_1")) == site
    assert await store.read(projects.list_projects) == [first, site]


async def test_a_project_name_is_given_once(store: Store) -> None:
    """To create it again is a conflict, to ensure it is not."""
    made = await store.transact(partial(projects.ensure_project, name="shop", now=NOW))

    assert await store.transact(partial(projects.ensure_project, name="shop", now=NOW + 1)) == made
    with pytest.raises(Conflict):
        await store.transact(partial(projects.create_project, name="shop", now=NOW))


async def test_other_names_are_refused(store: Store) -> None:
    """They are neither made nor found."""
    for name in ("", "Shop", ".shop", "-shop", "a b", "a/b", "ä", "a" * 65, "shop\n", "\x00", "\ud800"):
        with pytest.raises(InvalidInput) as refusal:
            await store.transact(partial(projects.ensure_project, name=name, now=NOW))
        assert refusal.value.validations[0].field == "name"
        with pytest.raises(NotFound):
            await store.read(partial(projects.project_by_name, name=name))
