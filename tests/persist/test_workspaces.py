"""Workspaces as rows, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from collector.persist import workspaces
from collector.persist.engine import Store
from collector.persist.tables import workspaces as table
from collector.wire.records import Workspace, WorkspaceBuild
from tests.records import NOW, workspace


def build(number: int, transition: str = "start", **job: Any) -> WorkspaceBuild:
    """Build ``number`` with the job columns given."""
    return WorkspaceBuild(build_number=number, transition=transition, **job)


async def stored(store: Store, *some: Workspace) -> None:
    """Store ``some`` workspaces in one transaction."""
    await store.transact(lambda connection: workspaces.store(connection, some))


async def the_row(store: Store) -> Any:
    """The row of the only workspace."""
    return await store.read(lambda connection: connection.execute(select(table)).one())


async def test_a_workspace_is_kept_whole(store: Store) -> None:
    """Workspace, build and job columns stand in the columns of their names."""
    newest = WorkspaceBuild(
        3, "stop", NOW - 5, job_started_at=NOW - 4, job_canceled_at=NOW - 3, job_completed_at=NOW - 2, job_error="no"
    )
    sent = workspace(newest, deleted=True)
    await stored(store, sent)

    assert tuple(await the_row(store)) == (
        *(sent.deployment, sent.id, "billing", sent.owner_id, sent.template_id, True),
        *(3, "stop", NOW - 5, NOW - 4, NOW - 3, NOW - 2, "no", NOW),
    )


PAIRS = [
    (build(2), build(3), "second", 3),
    (build(2), build(2), "second", 2),
    (build(3), build(2), "first", 3),
    (None, build(1), "second", 1),
    (build(2), None, "second", 2),
    (None, None, "second", None),
]


@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "two-batches"])
async def test_which_build_stays(store: Store, *, together: bool) -> None:
    """An older build leaves the whole row alone, an equal or newer one replaces it, no build keeps the known one."""
    firsts = [workspace(first, id=f"{n}", name="first") for n, (first, *_) in enumerate(PAIRS)]
    seconds = [workspace(second, id=f"{n}", name="second", received_at=NOW + 1) for n, (_, second, *_) in enumerate(PAIRS)]
    for batch in [firsts + seconds] if together else [firsts, seconds]:
        await stored(store, *batch)

    query = select(table.c.name, table.c.build_number, table.c.updated_at).order_by(table.c.id)
    rows = await store.read(lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in rows] == [(name, number, NOW + (name == "second")) for _, _, name, number in PAIRS]


async def test_a_build_is_replaced_with_all_its_columns(store: Store) -> None:
    """What the older job had and the newer has not, goes."""
    await stored(store, workspace(build(1, job_started_at=NOW, job_completed_at=NOW, job_error="no")))
    await stored(store, workspace(build(2, "stop")))

    row = await the_row(store)
    assert (row.transition, row.job_started_at, row.job_completed_at, row.job_error) == ("stop", None, None, None)


async def test_a_message_without_a_build_keeps_all_of_the_known_one(store: Store) -> None:
    """Name and deleted change, the job's columns do not."""
    await stored(store, workspace(build(1, created_at=NOW - 9, job_started_at=NOW - 8, job_completed_at=NOW - 7)))
    await stored(store, workspace(name="renamed", deleted=True))

    row = await the_row(store)
    assert (row.name, row.deleted) == ("renamed", True)
    assert (row.build_number, row.transition, row.build_created_at) == (1, "start", NOW - 9)
    assert (row.job_started_at, row.job_completed_at) == (NOW - 8, NOW - 7)


async def test_many_messages_of_one_batch_count_in_order(store: Store) -> None:
    """Rows of several workspaces may be mixed; each workspace sees its own in order."""
    numbers = [(1, "b"), (1, "a"), (4, "a"), (2, "b"), (3, "a"), (None, "b"), (5, "b"), (4, "b")]
    sent = [
        workspace(None if number is None else build(number), id=id_, name=f"{n}") for n, (number, id_) in enumerate(numbers)
    ]
    await stored(store, *sent)

    query = select(table.c.id, table.c.build_number, table.c.name).order_by(table.c.id)
    rows = await store.read(lambda connection: connection.execute(query).all())
    assert [tuple(row) for row in rows] == [("a", 4, "2"), ("b", 5, "6")]


async def test_an_id_is_its_deployments_own(store: Store) -> None:
    """Two deployments may use the same workspace ids."""
    await stored(store, workspace(build(2), deployment="one"), workspace(build(1), deployment="two"))

    query = select(table.c.deployment, table.c.build_number).order_by(table.c.deployment)
    assert [tuple(row) for row in await store.read(lambda connection: connection.execute(query).all())] == [
        ("one", 2),
        ("two", 1),
    ]


async def test_no_workspaces_are_fine(store: Store) -> None:
    """An empty batch stores nothing."""
    await stored(store)

    assert await store.read(lambda connection: connection.execute(select(table)).all()) == []
