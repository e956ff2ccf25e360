"""The frozen moment that the API, the exporter and the pages all read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, select

from collector.persist.deployments import note_deployment, reporting, told_of
from collector.persist.engine import insert
from collector.persist.tables import snapshots as table
from collector.rollup.agentstats import AgentUse, agent_use
from collector.rollup.sources import last_success, note_success
from collector.rollup.telemetry import EVERY_MS, telemetry_state
from collector.rollup.tiers import fold
from collector.rollup.workspaces import WorkspaceCounts, workspace_counts
from collector.wire.deployment import ConnectionLatency, DeploymentStats, SessionCounts, Source, WorkspaceStats

WINDOW_MS = 15 * 60 * 1000  # fixed in Coder, whatever the interval
UPSTREAM_INTERVALS = 2  # one poll may be missed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 2.0**53  # beyond it a float is whole for want of digits


class Snapshot(msgspec.Struct, frozen=True):
    """A deployment at ``collected_at``. Times are milliseconds since the epoch."""

    deployment: str
    source: Source
    aggregated_from: int
    collected_at: int
    next_update_at: int
    workspaces: WorkspaceCounts
    agents: AgentUse

    @property
    def interval_ms(self) -> int:
        """How long until the next one is due."""
        return self.next_update_at - self.collected_at

    @property
    def approximate(self) -> bool:
        """Whether it is as near as its source comes to the real numbers, and no nearer."""
        return self.source is Source.TELEMETRY


Told = Mapping[str, Source]  # by deployment
NOT_TOLD: Told = MappingProxyType({})


class Snapshots:
    """Where the current snapshots are found; they are swapped whole, never changed. None before the first.

    ``current`` is that of the deployment that answers when nobody names one, ``of`` has every deployment's. ``said`` has
    the source of each deployment whose source is not to be found out.
    """

    def __init__(self, current: Snapshot | None = None, *, said: Told = NOT_TOLD) -> None:
        self.current = current
        self.said = dict(said)
        self.of: Mapping[str, Snapshot] = {} if current is None else {current.deployment: current}
        self._told: Told = NOT_TOLD
        self._begun = self._shown = 0

    def begin(self) -> int:
        """The number of a building that begins now; those that begin later read what is newer."""
        self._begun += 1
        return self._begun

    def swap(self, built: Iterable[Snapshot], default: str, *, told: Told = NOT_TOLD, number: int = -1) -> bool:
        """Show these and no others, that of ``default`` when nobody names a deployment; ``told`` is what another one said.

        What was built under a ``number`` is not shown any more once a later one is: whether it is shown is returned.
        """
        if -1 < number < self._shown:
            return False
        self._shown = max(number, self._shown)
        self.of = {snapshot.deployment: snapshot for snapshot in built}
        self.current = self.of.get(default)
        self._told = told
        return True

    def source_of(self, deployment: str) -> Source | None:
        """The source that was said of ``deployment``, here or by the leader; None: it is found out."""
        return self.said.get(deployment) or self._told.get(deployment)


class Built(NamedTuple):
    """The snapshots of one reading, and the deployment that answers when nobody names one.

    ``reports`` are the deployments that have reports or workspaces.
    """

    snapshots: list[Snapshot]
    default: str
    reports: frozenset[str]


def built(connection: Connection, own: str, *, now: int, interval_ms: int, said: Mapping[str, Source]) -> Built:
    """Every deployment's snapshot at ``now`` (ms); ``own`` is the collector's own deployment, ``said`` who has which source.

    The default is the collector's own once it has reports or workspaces, else the only other one, else its own.
    """
    reports = reporting(connection)
    known = {own} | reports | told_of(connection)
    found = []
    for deployment in sorted(known):
        chosen = said.get(deployment)
        snapshot = build(
            connection, deployment, now=now, interval_ms=interval_ms, source=chosen, has_reports=deployment in reports
        )
        if snapshot is None and deployment == own:  # the service itself always has an answer, if only zeros
            snapshot = _by_reports(connection, own, now=now, interval_ms=interval_ms)
        if snapshot is not None:
            found.append(snapshot)
    others = [snapshot.deployment for snapshot in found if snapshot.deployment != own]
    return Built(found, others[0] if own not in reports and len(others) == 1 else own, reports)


def build(
    connection: Connection,
    deployment: str,
    *,
    now: int,
    interval_ms: int,
    source: Source | None = None,
    has_reports: bool = True,
) -> Snapshot | None:
    """The snapshot of ``deployment`` at ``now`` by ``source``; None when that has nothing.

    Without a source it is upstream if that was polled within two intervals, else reports if there are any, else telemetry,
    else what polling stored last, however long ago.
    """
    if source is None:
        asked_at = last_success(connection, deployment, Source.UPSTREAM)
        polled = None if asked_at is None else _polled(connection, deployment)
        if asked_at is not None and polled is not None and now <= asked_at + UPSTREAM_INTERVALS * polled.interval_ms:
            return polled
    if source is Source.REPORTS or (source is None and has_reports):
        return _by_reports(connection, deployment, now=now, interval_ms=interval_ms)
    if source is not Source.UPSTREAM:
        told = _by_telemetry(connection, deployment, now=now)
        if told is not None or source is Source.TELEMETRY:
            return told
    return _polled(connection, deployment)


def _by_reports(connection: Connection, deployment: str, *, now: int, interval_ms: int) -> Snapshot:
    """By the reports of the fifteen minutes before."""
    since = now - WINDOW_MS
    return Snapshot(
        deployment=deployment,
        source=Source.REPORTS,
        aggregated_from=since,
        collected_at=now,
        next_update_at=now + interval_ms,
        workspaces=workspace_counts(connection, deployment),
        agents=agent_use(connection, deployment, since),
    )


def _by_telemetry(connection: Connection, deployment: str, *, now: int) -> Snapshot | None:
    """As of the last message: between two of them nothing is known, and no snapshot says otherwise."""
    state = telemetry_state(connection, deployment, now=now)
    if state is None:
        return None
    return Snapshot(
        deployment=deployment,
        source=Source.TELEMETRY,
        aggregated_from=state.aggregated_from,
        collected_at=state.as_of,
        next_update_at=state.as_of + EVERY_MS,
        workspaces=state.workspaces,
        agents=state.agents,
    )


def _polled(connection: Connection, deployment: str) -> Snapshot | None:
    """The newest snapshot that polling stored."""
    polled = select(table).where(table.c.deployment == deployment, table.c.source == Source.UPSTREAM.value)
    row = connection.execute(polled.order_by(table.c.collected_at.desc()).limit(1)).mappings().first()
    return None if row is None else stored_snapshot(row)


def keep_all(connection: Connection, found: Built, *, now: int) -> None:
    """Store what was built here at ``now`` (ms)."""
    made_here = [snapshot for snapshot in found.snapshots if snapshot.source is not Source.UPSTREAM]
    for snapshot in made_here:
        # Of telemetry it is the time of a message, however often a snapshot is built of it.
        keep(connection, snapshot, at=snapshot.collected_at)
    # Where another source is shown, reports are still there to take its place.
    unshown = found.reports - {snapshot.deployment for snapshot in made_here if snapshot.source is Source.REPORTS}
    for deployment in sorted(unshown):
        note_success(connection, deployment, Source.REPORTS, at=now)


def keep(connection: Connection, snapshot: Snapshot, *, at: int, version: str | None = None) -> None:
    """Store what a source gave at ``at`` (ms by our clock), and that it gave it, be it the same as before.

    ``version`` is that of the server that was asked for it.
    """
    if snapshot.source is Source.UPSTREAM:
        note_deployment(connection, snapshot.deployment, now=at)
    store(connection, snapshot)
    note_success(connection, snapshot.deployment, snapshot.source, at=at, version=version)


def store(connection: Connection, snapshot: Snapshot) -> None:
    """Store ``snapshot`` once, and in the points of its time: the same one again changes nothing."""
    row = stored_row(snapshot)
    adding = insert(connection.dialect.name, table).on_conflict_do_nothing().returning(table.c.collected_at)
    if connection.execute(adding, row).first() is not None:
        fold(connection, row)


def stored_row(snapshot: Snapshot) -> dict[str, Any]:
    """The row of the table that holds ``snapshot``."""
    return {
        "deployment": snapshot.deployment,
        "source": snapshot.source.value,
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


def stored_snapshot(row: Mapping[str, Any] | RowMapping) -> Snapshot:
    """The snapshot that ``row`` of the table holds."""
    return Snapshot(
        deployment=row["deployment"],
        source=Source(row["source"]),
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
