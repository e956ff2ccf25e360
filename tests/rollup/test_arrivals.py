"""When something last came in, by kind, on both databases."""

from __future__ import annotations

from functools import partial

from collector.normalize.identity import Identities, UserIdentity
from collector.normalize.telemetry import telemetry_snapshot
from collector.persist import agentstats, aibridge, telemetry, workspaces
from collector.persist.engine import Store
from collector.rollup.arrivals import Arrivals, arrivals
from tests.aibridge import DEVELOPMENT, records
from tests.messages import full_snapshot
from tests.records import DEPLOYMENT, NOW, agent_report, workspace
from tests.rollup.rows import add_project, add_violation

PLAIN = Identities(UserIdentity.PLAIN, b"s" * 32)


async def test_nothing_has_come_to_an_empty_database(store: Store) -> None:
    """Each kind says so for itself."""
    assert await store.read(arrivals) == Arrivals(None, None, None, None, None)


async def test_the_newest_of_each_kind_counts(store: Store) -> None:
    """However much came, and in whatever order."""
    message = telemetry_snapshot(full_snapshot(), received_at=NOW + 3, identities=PLAIN).intake
    project = await store.transact(add_project)
    for number, seen in enumerate((NOW, NOW - 5)):
        await store.transact(partial(add_violation, project_id=project, fingerprint=f"{number}", last_seen=seen))
    reports = [agent_report(received_at=NOW + 1), agent_report(received_at=NOW - 1)]
    await store.transact(partial(agentstats.store, reports=reports))
    await store.transact(partial(workspaces.store, workspaces=[workspace(received_at=NOW + 2)]))
    await store.transact(partial(telemetry.store, intakes=[message]))
    await store.transact(partial(aibridge.store, records=records(DEVELOPMENT), deployment=DEPLOYMENT, received_at=NOW + 4))

    assert await store.read(arrivals) == Arrivals(NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4)
