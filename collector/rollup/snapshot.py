"""The frozen moment that the API, the exporter and the pages all read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, RowMapping

from collector.persist.engine import Store, insert
from collector.persist.tables import snapshots as table
from collector.rollup.agentstats import AgentUse, agent_use
from collector.rollup.workspaces import WorkspaceCounts, workspace_counts
from collector.wire.deployment import ConnectionLatency, DeploymentStats, SessionCounts, WorkspaceStats

WINDOW_MS = 15 * 60 * 1000  # fixed in Coder, whatever the interval

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 2.0**53  # beyond it a float is whole for want of digits


class Snapshot(msgspec.Struct, frozen=True):
    """A deployment at ``collected_at``. Times are milliseconds since the epoch."""

    deployment: str
    source: str  # reports
    aggregated_from: int
    collected_at: int
    next_update_at: int
    workspaces: WorkspaceCounts
    agents: AgentUse


class Snapshots:
    """Where the current snapshot is found; it is swapped whole, never changed. None before the first."""

    def __init__(self, current: Snapshot | None = None) -> None:
        self.current = current


async def refresh(
    database: Store,
    write: Callable[[Callable[[Connection], None]], Awaitable[None]],
    snapshots: Snapshots,
    deployment: str,
    *,
    now: Callable[[], int],
    interval_ms: int,
) -> None:
    """Build a snapshot from one read transaction, have it stored by ``write``, and only then make it the current one."""
    moment = now()
    snapshot = await database.read(lambda connection: build(connection, deployment, now=moment, interval_ms=interval_ms))
    await write(lambda connection: store(connection, snapshot))
    snapshots.current = snapshot


def build(connection: Connection, deployment: str, *, now: int, interval_ms: int) -> Snapshot:
    """The snapshot of ``deployment`` at ``now``, by the reports of the fifteen minutes before."""
    since = now - WINDOW_MS
    return Snapshot(
        deployment=deployment,
        source="reports",
        aggregated_from=since,
        collected_at=now,
        next_update_at=now + interval_ms,
        workspaces=workspace_counts(connection, deployment),
        agents=agent_use(connection, deployment, since),
    )


def store(connection: Connection, snapshot: Snapshot) -> None:
    """Store ``snapshot`` once: the same one again changes nothing."""
    row = {
        "deployment": snapshot.deployment,
        "source": snapshot.source,
        "aggregated_from": snapshot.aggregated_from,
        "collected_at": snapshot.collected_at,
        "next_update_at": snapshot.next_update_at,
        "connection_latency_p50_ms": snapshot.agents.latency_p50_ms,
        "connection_latency_p95_ms": snapshot.agents.latency_p95_ms,
        "rx_bytes": snapshot.agents.rx_bytes,
        "tx_bytes": snapshot.agents.tx_bytes,
        **msgspec.structs.asdict(snapshot.workspaces),
        **{f"session_count_{app}": count for app, count in msgspec.structs.asdict(snapshot.agents.sessions).items()},
    }
    connection.execute(insert(connection.dialect.name, table).on_conflict_do_nothing(), row)


def stored_snapshot(row: RowMapping) -> Snapshot:
    """The snapshot that ``row`` of the table holds."""
    return Snapshot(
        deployment=row["deployment"],
        source=row["source"],
        aggregated_from=row["aggregated_from"],
        collected_at=row["collected_at"],
        next_update_at=row["next_update_at"],
        workspaces=WorkspaceCounts(**{state: row[state] for state in WorkspaceCounts.__struct_fields__}),
        agents=AgentUse(
            rx_bytes=row["rx_bytes"],
            tx_bytes=row["tx_bytes"],
            latency_p50_ms=row["connection_latency_p50_ms"],
            latency_p95_ms=row["connection_latency_p95_ms"],
            sessions=SessionCounts(**{app: row[f"session_count_{app}"] for app in SessionCounts.__struct_fields__}),
        ),
    )


def deployment_stats(snapshot: Snapshot) -> DeploymentStats:
    """``snapshot`` as GET /deployment/stats answers it."""
    p50, p95 = shortest(snapshot.agents.latency_p50_ms), shortest(snapshot.agents.latency_p95_ms)
    return DeploymentStats(
        aggregated_from=utc(snapshot.aggregated_from),
        collected_at=utc(snapshot.collected_at),
        next_update_at=utc(snapshot.next_update_at),
        workspaces=WorkspaceStats(
            **msgspec.structs.asdict(snapshot.workspaces),
            connection_latency_ms=ConnectionLatency(p50=p50, p95=p95, live_p50=p50, live_p95=p95),
            rx_bytes=snapshot.agents.rx_bytes,
            tx_bytes=snapshot.agents.tx_bytes,
        ),
        session_count=snapshot.agents.sessions,
    )


def shortest(value: float) -> int | float:
    """``value`` as an integer when it is whole, so that no latency is the -1 of the real server and not -1.0."""
    return int(value) if value.is_integer() and abs(value) < EXACT else value


def utc(milliseconds: int) -> datetime:
    """The moment that is ``milliseconds`` after the epoch."""
    return EPOCH + timedelta(milliseconds=milliseconds)
