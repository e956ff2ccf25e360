"""Builds that have ended are counted once each."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select

from collector.persist import tables, workspaces
from collector.persist.engine import Store
from collector.wire.records import Workspace, WorkspaceBuild
from tests.records import NOW, workspace

Totals = dict[tuple[str, bool], int]


def built(number: int, transition: str = "start", **job: int | str | None) -> Workspace:
    """A workspace whose newest build has that number, and a job with these columns."""
    return workspace(WorkspaceBuild(number, transition, **{f"job_{name}": value for name, value in job.items()}))  # type: ignore[arg-type]


RUNNING = built(1, started_at=NOW)
ENDED = built(1, started_at=NOW, completed_at=NOW)


async def totals_of(store: Store, *batches: tuple[Workspace, ...]) -> Totals:
    """The totals after each of ``batches`` was stored by a transaction of its own."""
    for batch in batches:
        await store.transact(lambda connection, some=batch: workspaces.store(connection, some))  # type: ignore[misc]
    total = tables.workspace_build_totals.c
    selected = select(total.transition, total.succeeded, total.count)
    rows = await store.read(lambda connection: connection.execute(selected).all())
    return {(transition, succeeded): count for transition, succeeded, count in rows}


@pytest.mark.parametrize(
    "batches",
    [
        ((ENDED,),),
        ((RUNNING,), (ENDED,)),
        ((ENDED,), (ENDED,)),
        ((RUNNING, ENDED, ENDED),),
        ((ENDED,), (RUNNING,)),
    ],
)
async def test_a_build_is_counted_once(store: Store, batches: tuple[tuple[Workspace, ...], ...]) -> None:
    """However often it is told of, in one message or in several."""
    assert await totals_of(store, *batches) == {("start", True): 1}


async def test_builds_are_counted_by_what_became_of_them(store: Store) -> None:
    """By what they were to do, and whether they did: one that was canceled did not."""
    batch = (
        built(1, completed_at=NOW),
        built(2, completed_at=NOW, error="exit status 1"),
        built(3, "stop", completed_at=NOW, canceled_at=NOW),
        built(4, completed_at=NOW),
        built(5, "stop"),
    )
    assert await totals_of(store, batch) == {("start", True): 2, ("start", False): 1, ("stop", False): 1}


async def test_what_a_newer_build_replaced_is_not_known(store: Store) -> None:
    """A message about a former build that comes late counts for nothing: it may have been counted already."""
    assert await totals_of(store, (built(2, completed_at=NOW),), (ENDED,)) == {("start", True): 1}


async def test_totals_go_with_their_workspace(store: Store) -> None:
    """When retention deletes a workspace nothing is left of it."""
    assert await totals_of(store, (ENDED,)) != {}
    await store.transact(lambda connection: connection.execute(delete(tables.workspaces)))
    assert await totals_of(store) == {}
