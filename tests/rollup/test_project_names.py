"""Projects as a page chooses among them, on both databases."""

from __future__ import annotations

from functools import partial

from collector.persist.engine import Store
from collector.rollup.projects import project_names
from tests.rollup.rows import add_project


async def test_only_what_may_be_seen_is_named(store: Store) -> None:
    """All of them in order but the canary's, or those of somebody's projects; of no project none."""
    ids = {name: await store.transact(partial(add_project, name=name)) for name in ("shop", "blog", "docs", "canary")}

    assert await store.read(project_names) == ["blog", "docs", "shop"]
    assert await store.read(partial(project_names, visible={ids["shop"], ids["blog"]})) == ["blog", "shop"]
    assert await store.read(partial(project_names, visible=set())) == []
