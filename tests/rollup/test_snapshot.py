"""Snapshots: built, stored, found again, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from collector.persist import agentstats, workspaces
from collector.persist.engine import Store
from collector.persist.tables import snapshots as table
from collector.rollup import snapshot as snapshot_module
from collector.rollup.agentstats import AgentUse
from collector.rollup.snapshot import Snapshot, Snapshots, build, deployment_stats, stored_snapshot
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import SessionCounts, Source
from collector.wire.records import WorkspaceBuild
from tests.records import DEPLOYMENT, NOW, agent_report, workspace
from tests.rollup.turned import turns_on

INTERVAL_MS = 30_000
SNAPSHOT = Snapshot(
    deployment=DEPLOYMENT,
    source=Source.REPORTS,
    aggregated_from=NOW - 900_000,
    collected_at=NOW,
    next_update_at=NOW + INTERVAL_MS,
    workspaces=WorkspaceCounts(pending=1, building=2, running=3, failed=4, stopped=5),
    agents=AgentUse(6, 7, 8.5, 9.0, SessionCounts(vscode=10, ssh=11, jetbrains=12, reconnecting_pty=13)),
)


def read_stored(connection: Connection) -> list[Snapshot]:
    """Every snapshot that is stored."""
    return [stored_snapshot(row) for row in connection.execute(select(table)).mappings()]


async def test_a_snapshot_is_what_was_stored(store: Store) -> None:
    """Fifteen minutes of reports and all workspaces, as of now."""

    def fill(connection: Connection) -> None:
        agentstats.store(
            connection,
            [
                agent_report(received_at=NOW - 900_000, rx_bytes=1),
                agent_report(received_at=NOW - 899_999, rx_bytes=2, tx_bytes=3, connection_median_latency_ms=4.0),
                agent_report(received_at=NOW, session_count_ssh=5),
            ],
        )
        workspaces.store(connection, [workspace(WorkspaceBuild(1, "start", job_started_at=NOW, job_completed_at=NOW))])

    await store.transact(fill)
    built = await store.read(lambda connection: build(connection, DEPLOYMENT, now=NOW, interval_ms=INTERVAL_MS))

    assert built == Snapshot(
        deployment=DEPLOYMENT,
        source=Source.REPORTS,
        aggregated_from=NOW - 900_000,
        collected_at=NOW,
        next_update_at=NOW + INTERVAL_MS,
        workspaces=WorkspaceCounts(pending=0, building=0, running=1, failed=0, stopped=0),
        agents=AgentUse(2, 3, 4.0, 4.0, SessionCounts(vscode=0, ssh=5, jetbrains=0, reconnecting_pty=0)),
    )


async def test_a_stored_snapshot_is_found_whole(store: Store) -> None:
    """Every number comes back from its own column."""
    await store.transact(lambda connection: snapshot_module.store(connection, SNAPSHOT))

    assert await store.read(read_stored) == [SNAPSHOT]


async def test_storing_twice_is_storing_once(store: Store) -> None:
    """A write whose answer was lost can be repeated."""
    for _ in range(2):
        await store.transact(lambda connection: snapshot_module.store(connection, SNAPSHOT))

    assert await store.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()) == 1


def test_the_answer_has_the_pages_keys_and_the_live_servers() -> None:
    """Byte for byte: integers stay integers, whole latencies too, times are UTC."""
    assert msgspec.json.encode(deployment_stats(SNAPSHOT)) == (
        b'{"aggregated_from":"2026-01-14T09:45:00Z","collected_at":"2026-01-14T10:00:00Z","next_update_at":"2026-01-14T10:00:30Z",'
        b'"workspaces":{"pending":1,"building":2,"running":3,"failed":4,"stopped":5,'
        b'"connection_latency_ms":{"p50":8.5,"p95":9,"P50":8.5,"P95":9},"rx_bytes":6,"tx_bytes":7},'
        b'"session_count":{"vscode":10,"ssh":11,"jetbrains":12,"reconnecting_pty":13}}'
    )


@pytest.mark.parametrize(("latency", "encoded"), [(-1.0, b"-1"), (0.5, b"0.5"), (42.0, b"42"), (1e300, b"1e300")])
def test_latencies_encode_as_go_prints_them(latency: float, encoded: bytes) -> None:
    """No latency is -1, not -1.0; a huge one stays a float instead of becoming 300 digits."""
    agents = msgspec.structs.replace(SNAPSHOT.agents, latency_p50_ms=latency)
    answer = deployment_stats(msgspec.structs.replace(SNAPSHOT, agents=agents))

    assert msgspec.json.encode(answer.workspaces.connection_latency_ms.p50) == encoded


async def test_refresh_swaps_after_it_stored(store: Store) -> None:
    """While the snapshot is being written the old one is current; afterwards the stored one is."""
    snapshots = Snapshots()
    seen: list[Snapshot | None] = []

    async def write(work: Callable[[Connection], None]) -> None:
        await store.transact(work)
        seen.append(snapshots.current)

    await turns_on(store, snapshots, write=write).refresh()

    assert seen == [None]
    assert snapshots.current is not None
    assert [snapshots.current] == await store.read(read_stored)


async def test_a_refresh_that_cannot_store_keeps_the_old_snapshot(store: Store) -> None:
    """What nobody could read again later is not shown now."""
    snapshots = Snapshots(SNAPSHOT)

    async def write(_work: Callable[[Connection], None]) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await turns_on(store, snapshots, write=write, now=NOW + INTERVAL_MS).refresh()

    assert snapshots.current is SNAPSHOT


async def test_what_was_built_before_comes_too_late(store: Store) -> None:
    """Of two buildings at once, the one that began first does not take the place of the other, whose reading is newer."""
    snapshots, held = Snapshots(), asyncio.Event()

    async def slow(work: Callable[[Connection], None]) -> None:
        await held.wait()
        await store.transact(work)

    first = asyncio.create_task(turns_on(store, snapshots, write=slow).refresh())
    await asyncio.sleep(0)  # it begins
    await turns_on(store, snapshots, now=NOW + 1).refresh()
    held.set()
    await first

    assert snapshots.current is not None
    assert snapshots.current.collected_at == NOW + 1
