"""What telemetry says of workspaces, message by message, whatever is late, repeated or missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from collector.normalize.identity import Identities, UserIdentity
from collector.normalize.telemetry import telemetry_snapshot
from collector.persist import telemetry
from collector.persist.engine import Store
from collector.persist.telemetry_tables import inventory
from collector.rollup.telemetry import UNHEARD_MS, TelemetryState, telemetry_state
from tests import messages
from tests.messages import DEPLOYMENT, DONE, STARTED, build, full_snapshot, job, partial_snapshot, resource, workspace

NOW = 1_768_903_200_000  # 2026-01-20T10:00:00Z, an hour after the builds of the messages
MINUTE_MS = 60_000
NONE = dict.fromkeys(messages.COUNTS, 0)
PLAIN = Identities(UserIdentity.PLAIN, b"s" * 32)


async def receive(store: Store, *sent: bytes, at: int = NOW) -> None:
    """Store messages that came at ``at``."""
    intakes = [telemetry_snapshot(body, received_at=at, identities=PLAIN).intake for body in sent]
    await store.transact(lambda connection: telemetry.store(connection, intakes))


async def state(store: Store, now: int = NOW) -> TelemetryState:
    """The deployment at ``now``."""
    found = await store.read(lambda connection: telemetry_state(connection, DEPLOYMENT, now=now))
    assert found is not None
    return found


async def counts(store: Store, now: int = NOW) -> dict[str, int]:
    """The states that hold a workspace, and how many."""
    found = (await state(store, now)).workspaces
    return {name: getattr(found, name) for name in messages.COUNTS if getattr(found, name)}


def one(*jobs: dict[str, Any], made: Iterable[dict[str, Any]] = ()) -> bytes:
    """A full snapshot of one workspace with one build."""
    return full_snapshot(
        workspaces=[workspace(1)], workspace_build=[build(1)], provisioner_jobs=list(jobs), workspace_resources=list(made)
    )


async def test_each_state(store: Store) -> None:
    """Workspaces count by the columns of their newest build's job, with the transition of what it made."""
    await receive(store, full_snapshot())

    assert await counts(store) == messages.COUNTS


@pytest.mark.parametrize(
    ("columns", "made", "expected"),
    [
        ({**messages.CANCELED, "completed_at": messages.WHEN}, None, {"pending": 1}),
        ({**STARTED, **messages.CANCELED}, None, {}),
        (DONE, None, {}),
        (DONE, "delete", {}),
        (STARTED, "start", {"running": 1}),
        ({}, "stop", {"stopped": 1}),
    ],
    ids=["canceled in the queue", "canceling", "made nothing", "deleting", "its success told by what it made", "the same"],
)
async def test_a_job_by_its_columns(store: Store, columns: dict[str, str], made: str | None, expected: dict[str, int]) -> None:
    """What Coder's own counting says of rarer jobs, and nothing where nothing shows a transition."""
    await receive(store, one(job(1, **columns), made=[resource(1, made)] if made else []))

    assert await counts(store) == expected


async def test_success_is_told_by_resources_alone(store: Store) -> None:
    """The partial message of a job that is done brings what it made and no job, and that is enough."""
    await receive(store, one(job(1, **STARTED)))
    await receive(store, partial_snapshot(workspace_resources=[resource(1, "start")]))

    assert await counts(store) == {"running": 1}


async def test_a_job_that_nobody_speaks_of_is_given_up(store: Store) -> None:
    """A job leaves ``building`` two hours after the last message that held it, whenever it was started."""
    await receive(store, one(job(1, **STARTED)))
    later = NOW + 30 * MINUTE_MS
    await receive(store, one(job(1, **STARTED)), at=later)
    await receive(store, partial_snapshot(workspaces=[workspace(2)]), at=later + 60 * MINUTE_MS)

    assert await counts(store, later + UNHEARD_MS - 1) == {"building": 1}
    assert await counts(store, later + UNHEARD_MS) == {}
    assert (await state(store, later + UNHEARD_MS - 1)).as_of == later + 60 * MINUTE_MS
    assert (await state(store, later + UNHEARD_MS)).as_of == later + UNHEARD_MS


async def test_an_older_state_of_a_job_replaces_no_newer_one(store: Store) -> None:
    """Whatever order replicas deliver in, the state that the server wrote last counts."""
    newer = job(1, **DONE, error="failed", updated_at="2026-01-20T09:01:00Z")
    await receive(store, one(newer))
    await receive(store, one(job(1, **STARTED)))

    assert await counts(store) == {"failed": 1}


async def test_the_newest_build_counts(store: Store) -> None:
    """An earlier build that comes again later changes nothing."""
    second = {"id": messages.uid(2, 9), "job_id": messages.uid(3, 9), "build_number": 2}
    await receive(
        store,
        full_snapshot(
            workspaces=[workspace(1)],
            workspace_build=[build(1, **second), build(1)],
            provisioner_jobs=[job(1, **DONE), job(9, **STARTED)],
            workspace_resources=[resource(1, "start")],
        ),
    )

    assert await counts(store) == {"building": 1}


async def test_an_unknown_build_is_in_no_state(store: Store) -> None:
    """A workspace that was last built before the first message may be anything."""
    await receive(store, full_snapshot(workspace_build=[], provisioner_jobs=[], workspace_resources=[]))

    assert await counts(store) == {}


async def test_what_a_full_list_lacks_is_gone(store: Store) -> None:
    """A workspace that is in no full list any more counts no more; null and partial messages say nothing about it."""
    await receive(store, full_snapshot())
    await receive(store, full_snapshot(workspaces=None), partial_snapshot(workspaces=[workspace(0)]), at=NOW + 1)
    assert await counts(store) == messages.COUNTS

    await receive(store, full_snapshot(workspaces=[workspace(2)]), at=NOW + 2)
    assert await counts(store) == {"running": 1}

    await receive(store, full_snapshot(workspaces=[]), at=NOW + 3)
    assert await counts(store) == {}


async def test_an_unreadable_workspace_deletes_no_other(store: Store) -> None:
    """A list with an element that cannot be read is not taken as whole."""
    await receive(store, full_snapshot())
    await receive(store, full_snapshot(workspaces=[workspace(2), workspace(3, owner_id=5)]), at=NOW + 1)

    assert await counts(store) == messages.COUNTS


async def test_a_list_read_before_does_not_delete_what_came_after(store: Store) -> None:
    """A full list may overtake nothing: what is newer than all it speaks of, and was told of just now, stays."""
    await receive(store, full_snapshot())
    made = workspace(50, created_at="2026-01-20T09:59:59Z")
    await receive(store, partial_snapshot(workspaces=[made], workspace_build=[build(50)]), at=NOW + 1)

    await receive(store, full_snapshot(), at=NOW + 2)
    assert (await counts(store))["pending"] == 2

    await receive(store, full_snapshot(), at=NOW + 3 * MINUTE_MS)
    assert (await counts(store))["pending"] == 1


async def test_history_is_written_when_something_changes(store: Store) -> None:
    """A repetition writes no state; a change ends the old one where the new one begins."""
    await receive(store, full_snapshot())
    before = await store.read(states(messages.uid(1, 0)))
    await receive(store, full_snapshot(), at=NOW + 1)
    assert await store.read(states(messages.uid(1, 0))) == before == [("space-0", NOW, None)]

    renamed = [workspace(number, name="renamed") if number == 0 else workspace(number) for number in range(7)]
    await receive(store, full_snapshot(workspaces=renamed), at=NOW + 2)
    assert await store.read(states(messages.uid(1, 0))) == [("space-0", NOW, NOW + 2), ("renamed", NOW + 2, None)]


async def test_use_is_that_of_one_snapshot(store: Store) -> None:
    """Neither a second full snapshot, nor a late one, nor a partial one is added to the use of the newest."""
    few = full_snapshot(workspace_agent_stats=[messages.agent_use(2, rx_bytes=7)])
    await receive(store, full_snapshot(), at=NOW + 1)
    await receive(store, few, at=NOW + 2)
    await receive(store, full_snapshot(), at=NOW)
    await receive(store, partial_snapshot(workspaces=[workspace(1)]), at=NOW + 3)

    assert (await state(store)).agents.rx_bytes == 7
    assert (await state(store)).agents.sessions.ssh == 3


async def test_a_message_about_other_things_is_no_news(store: Store) -> None:
    """A partial message of which nothing is kept moves no snapshot."""
    await receive(store, full_snapshot())
    await receive(store, partial_snapshot(cli_invocations=[{"command": "ssh"}]), at=NOW + MINUTE_MS)

    assert (await state(store)).as_of == NOW


async def test_deployments_are_apart(store: Store) -> None:
    """The same ids in another deployment's messages change nothing here."""
    await receive(store, full_snapshot())
    other = json.loads(full_snapshot(workspaces=[])) | {"deployment_id": "another"}
    await receive(store, json.dumps(other).encode(), at=NOW + 1)

    assert await counts(store) == messages.COUNTS


def states(item: str) -> Callable[[Connection], list[tuple[Any, ...]]]:
    """Reads the states of an item: name, since, until."""

    def read(connection: Connection) -> list[tuple[Any, ...]]:
        columns = inventory.c
        query = select(columns.name, columns.since, columns.until).where(columns.id == item).order_by(columns.since)
        return [tuple(row) for row in connection.execute(query)]

    return read
