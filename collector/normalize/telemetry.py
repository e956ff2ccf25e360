"""Telemetry: the bodies of POST /snapshot and POST /deployment -> records.

Each element of a list is judged alone: one that is wrong is refused and counted by its list, the others pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from collector.normalize.identity import Identities
from collector.normalize.inventory import Lists, items_of, kept_text, whole_kinds
from collector.normalize.rows import milliseconds, whole_escapes
from collector.wire import telemetry as wire
from collector.wire.deployment import SessionCounts
from collector.wire.errors import InvalidReport
from collector.wire.fields import INT64_MAX
from collector.wire.inventory import (
    Build,
    BuildJob,
    Item,
    TelemetryIntake,
    TelemetryServer,
    TelemetryUse,
)

Row = TypeVar("Row")

HOUR_MS = 3_600_000
WORKSPACE_BUILD = "workspace_build"
TRANSITIONS = frozenset({"start", "stop", "delete"})

_SNAPSHOT = msgspec.json.Decoder(wire.TelemetrySnapshot)
_DEPLOYMENT = msgspec.json.Decoder(wire.TelemetryDeployment)
_BUILD, _JOB = msgspec.json.Decoder(wire.BuildRow), msgspec.json.Decoder(wire.JobRow)
_PROVISIONED, _AGENT = msgspec.json.Decoder(wire.ProvisionedRow), msgspec.json.Decoder(wire.AgentStatsRow)


class Judged(NamedTuple):
    """The record of a telemetry snapshot, and how many elements of which list were refused."""

    intake: TelemetryIntake
    refused: dict[str, int]


def telemetry_snapshot(body: bytes, *, received_at: int, identities: Identities) -> Judged:
    """What is kept of a telemetry snapshot received at ``received_at`` (ms).

    Raises:
        InvalidReport: the body is no telemetry snapshot.
    """
    sent = _decoded(_SNAPSHOT, body)
    lists = Lists()
    full = sent.organizations is not None
    builds = lists.of("workspace_build", sent.workspace_build, _BUILD)
    jobs = lists.of("provisioner_jobs", sent.provisioner_jobs, _JOB)
    items = tuple(items_of(sent, lists, identities))
    used = lists.of("workspace_agent_stats", sent.workspace_agent_stats, _AGENT) if full else []
    build_jobs = tuple(_job(job, received_at) for job in jobs if job.type == WORKSPACE_BUILD)
    intake = TelemetryIntake(
        deployment=sent.deployment_id,
        received_at=received_at,
        full=full,
        items=items,
        complete=frozenset(whole_kinds(sent, lists.refused)) if full else frozenset(),
        horizon=_horizon(items, builds, build_jobs),
        builds=tuple(_build(build) for build in builds),
        jobs=build_jobs,
        transitions=_transitions(sent, lists, others={job.id for job in jobs if job.type != WORKSPACE_BUILD}),
        use=_use(used, received_at) if full else None,
    )
    return Judged(intake, lists.refused)


def telemetry_server(body: bytes, *, received_at: int, version: str) -> TelemetryServer:
    """The replica that the body of POST /deployment describes; ``version`` is what its header says.

    Raises:
        InvalidReport: the body describes none.
    """
    sent = _decoded(_DEPLOYMENT, body)
    return TelemetryServer(
        deployment=sent.id,
        received_at=received_at,
        machine_id=kept_text(sent.machine_id) or "",
        version=kept_text(version),
        architecture=kept_text(sent.architecture),
        os_type=kept_text(sent.os_type),
        os_name=kept_text(sent.os_name),
        os_version=kept_text(sent.os_version),
        install_source=kept_text(sent.install_source),
        kubernetes=sent.kubernetes,
        cpu_cores=sent.cpu_cores,
        memory_total=min(sent.memory_total, INT64_MAX),
        started_at=milliseconds(sent.started_at),
        shutdown_at=milliseconds(sent.shutdown_at),
    )


def _decoded(decoder: msgspec.json.Decoder[Row], body: bytes) -> Row:
    try:
        return decoder.decode(whole_escapes(body))
    except msgspec.ValidationError as error:
        raise InvalidReport("The body is no telemetry.", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidReport("The body is not valid JSON.") from error


def _horizon(items: Sequence[Item], builds: Sequence[wire.BuildRow], jobs: Sequence[BuildJob]) -> int:
    times = [item.created_at or 0 for item in items]
    times += [milliseconds(build.created_at) or 0 for build in builds]
    times += [job.updated_at for job in jobs]
    return max(times, default=0)


# ── Builds and their jobs ──────────────────────────────────────────────────────────────────────────────────────────
def _build(row: wire.BuildRow) -> Build:
    return Build(
        id=row.id,
        workspace_id=row.workspace_id,
        build_number=row.build_number,
        job_id=row.job_id,
        template_version_id=row.template_version_id,
        created_at=milliseconds(row.created_at),
    )


def _job(row: wire.JobRow, received_at: int) -> BuildJob:
    return BuildJob(
        id=row.id,
        # Without one it is no older than what is known. One of the future must not keep out all that follows.
        updated_at=min(milliseconds(row.updated_at) or received_at, received_at),
        started_at=milliseconds(row.started_at),
        canceled_at=milliseconds(row.canceled_at),
        completed_at=milliseconds(row.completed_at),
        failed=bool(row.error),
    )


def _transitions(sent: wire.TelemetrySnapshot, lists: Lists, others: set[str]) -> tuple[tuple[str, str], ...]:
    """The transition of each job that made something. A template's import makes things for both: it has none."""
    found: dict[str, str] = {}
    ambiguous = set(others)
    made = (
        *lists.of("workspace_resources", sent.workspace_resources, _PROVISIONED),
        *lists.of("workspace_modules", sent.workspace_modules, _PROVISIONED),
    )
    for row in made:
        if row.transition in TRANSITIONS and found.setdefault(row.job_id, row.transition) != row.transition:
            ambiguous.add(row.job_id)
    return tuple((job_id, transition) for job_id, transition in found.items() if job_id not in ambiguous)


# ── Use ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _use(rows: Sequence[wire.AgentStatsRow], received_at: int) -> TelemetryUse:
    """The rows of one snapshot as one deployment's use; of an agent that is there twice, the last counts.

    The percentiles are approximations: the median of the agents' medians, and the 95th percentile of their 95ths.
    """
    agents = {row.agent_id: row for row in rows}.values()
    since = [moment for row in agents if (moment := milliseconds(row.aggregated_from)) is not None]
    return TelemetryUse(
        aggregated_from=min((*since, received_at), default=received_at) if since else received_at - HOUR_MS,
        rx_bytes=_sum(agents, lambda row: row.rx_bytes),
        tx_bytes=_sum(agents, lambda row: row.tx_bytes),
        latency_p50_ms=_percentile([row.connection_latency_50 for row in agents], 0.5),
        latency_p95_ms=_percentile([row.connection_latency_95 for row in agents], 0.95),
        sessions=SessionCounts(
            vscode=_sum(agents, lambda row: row.session_count_vscode),
            ssh=_sum(agents, lambda row: row.session_count_ssh),
            jetbrains=_sum(agents, lambda row: row.session_count_jetbrains),
            reconnecting_pty=_sum(agents, lambda row: row.session_count_reconnecting_pty),
        ),
    )


def _sum(agents: Iterable[wire.AgentStatsRow], count: Callable[[wire.AgentStatsRow], int]) -> int:
    return min(sum(map(count, agents)), INT64_MAX)


def _percentile(values: Iterable[float], p: float) -> float:
    """percentile_cont of the positive ``values``; -1 when there is none."""
    seen = sorted(value for value in values if value > 0)
    if not seen:
        return -1.0
    place = p * (len(seen) - 1)
    low, high = seen[math.floor(place)], seen[math.ceil(place)]
    return low + (place - math.floor(place)) * (high - low)
