"""What was read for one scrape -> families: of the deployments, which every replica tells alike, and of this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric

from collector.normalize.noise import Rule
from collector.persist.lease import Lease
from collector.persist.measured import QUERY_SECONDS, Connections
from collector.rollup.aibridge_recent import Recent
from collector.rollup.schedule import JobFacts
from collector.rollup.snapshot import Snapshot
from collector.rollup.sources import SourceState
from collector.rollup.totals import Totals
from collector.rollup.violation_counts import ViolationCounts
from collector.rollup.workspaces import WorkspaceCounts
from collector.serve import families
from collector.serve.coder_families import QUERIES
from collector.serve.exported_use import aibridge_families, violation_families
from collector.serve.gathered import Key, with_workers
from collector.serve.last_read import Stored
from collector.wire.workspace_groups import WorkspaceGroup

MAX_RULE_LABELS = 100


class Collected(NamedTuple):
    """One moment of the store and of the snapshots; two that are equal are rendered alike."""

    stored: Stored | None  # None: it was never read
    rules: Sequence[Rule]
    current: Snapshot | None
    snapshots: Sequence[Snapshot]
    violations: ViolationCounts | None
    use: Sequence[Recent]
    currency: str
    store_bytes: int
    store_limit: int
    left_out: Mapping[str, int]  # series by family
    age_ms: int | None = None  # of ``stored``; it alone is rendered anew each time


class Process(NamedTuple):
    """This process beside its instruments; times in ms."""

    queued: int
    oldest_s: float
    jobs: Mapping[str, JobFacts]
    connections: Connections | None  # None: they are not measured
    coders_names: bool  # whether queries are also told of under Coder's name
    canary_at: int | None  # when one was last stored, 0 for never; None: there is none
    now: int
    leads: bool
    lease: Lease | None  # as it was last seen
    workers: Mapping[str, Mapping[Key, float]] = {}  # what they have counted


class _Families:
    """A collector of what was read for one scrape."""

    def __init__(self, made: Iterable[Metric]) -> None:
        self._made = made

    def collect(self) -> Iterator[Metric]:
        yield from self._made


def deployment_registry(collected: Collected) -> CollectorRegistry:
    """What does not depend on which replica is asked: sums and snapshots, and the store that all of them share."""
    return _registry(
        [
            *_stored(collected.stored, collected.rules),
            *_deployment(collected.current),
            _deployments(collected.snapshots),
            *violation_families(collected.violations),
            *aibridge_families(collected.use, collected.currency),
            families.STORE_BYTES.of(collected.store_bytes),
            families.STORE_LIMIT.of(collected.store_limit),
            _left_out(collected),
        ]
    )


def replica_registry(process: Process) -> CollectorRegistry:
    """What every replica tells of itself alone."""
    queue = families.QUEUE.of(process.queued), families.QUEUE_OLDEST.of(process.oldest_s)
    canary = _at(families.CANARY_AT, process.canary_at)
    own = [*queue, *_connections(process), canary, *_leader(process), *_jobs(process)]
    return _registry([*with_workers(REGISTRY.collect(), process.workers), *own])


def _registry(made: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(made))
    return registry


def _stored(stored: Stored | None, rules: Sequence[Rule]) -> Iterator[Metric]:
    """Nothing before the first reading: a counter that began at 0 would have fallen."""
    if stored is None:
        return
    yield from _csp(stored.sums)
    yield _noise(stored.sums.matches, rules)
    yield _sources(stored.sources)
    yield _groups(stored.groups)
    yield _at(families.BACKUP_AT, stored.backup_at)


def _csp(sums: Totals) -> Iterator[Metric]:
    reports, dropped, others = families.CSP_REPORTS.empty(), families.CSP_DROPPED.empty(), families.OTHER_REPORTS.empty()
    for row in sums.csp:
        reports.add_metric([row.project, row.directive, row.disposition, row.noise_class], row.count)
    for drop in sums.drops:
        dropped.add_metric([drop.project, drop.reason], drop.count)
    for other in sums.others:
        others.add_metric([other.project, other.type], other.count)
    yield from (reports, dropped, others)


def _noise(matches: Mapping[str, int], rules: Sequence[Rule]) -> Metric:
    """The first rules in effect alone, by rank: the names come from an operator's file, and are labels here."""
    matched = families.NOISE_MATCHES.empty()
    for rule in rules[:MAX_RULE_LABELS]:
        matched.add_metric([rule.name], matches.get(rule.name, 0))
    return matched


def _deployment(snapshot: Snapshot | None) -> Iterator[Metric]:
    if snapshot is None:
        return
    workspaces, sessions, latency = families.WORKSPACES.empty(), families.SESSIONS.empty(), families.LATENCY.empty()
    for status, count in msgspec.structs.asdict(snapshot.workspaces).items():
        workspaces.add_metric([status], count)
    for app, count in msgspec.structs.asdict(snapshot.agents.sessions).items():
        sessions.add_metric([app], count)
    for percentile, milliseconds in (("50", snapshot.agents.latency_p50_ms), ("95", snapshot.agents.latency_p95_ms)):
        if milliseconds >= 0:
            latency.add_metric([percentile], milliseconds / 1000)
    yield from (workspaces, sessions, latency)
    yield families.RX_BYTES.of(snapshot.agents.rx_bytes)
    yield families.TX_BYTES.of(snapshot.agents.tx_bytes)
    yield families.SNAPSHOT_AT.of(snapshot.collected_at / 1000)


def _deployments(snapshots: Iterable[Snapshot]) -> Metric:
    """They are bounded: telemetry can bring a hundred, the others an operator has named."""
    info = families.DEPLOYMENTS.empty()
    for snapshot in snapshots:
        info.add_metric([snapshot.deployment, snapshot.source.value, str(snapshot.approximate).lower()], 1)
    return info


def _sources(given: Iterable[SourceState]) -> Metric:
    last = families.SOURCE_SUCCESS_AT.empty()
    for state in given:
        last.add_metric([state.deployment, state.source.value], state.last_success_at / 1000)
    return last


def _groups(groups: Iterable[tuple[str, WorkspaceGroup]]) -> Metric:
    counted = families.GROUPS.empty()
    for deployment, group in groups:
        labels = [deployment, group.key.organization, group.key.template, str(group.key.prebuilt).lower()]
        for status in WorkspaceCounts.__struct_fields__:
            counted.add_metric([*labels, status], getattr(group, status))
    return counted


def _left_out(collected: Collected) -> Metric:
    left_out = families.LEFT_OUT.empty()
    rules = len(collected.rules) - MAX_RULE_LABELS
    for name, count in {families.NOISE_MATCHES.name: max(0, rules), **collected.left_out}.items():
        left_out.add_metric([name], count)
    return left_out


def _connections(process: Process) -> Iterator[Metric]:
    connections = families.DB_CONNECTIONS.empty()
    yield connections
    if process.connections is None:
        return
    for state, count in process.connections._asdict().items():
        connections.add_metric([state], count)
    if process.coders_names:
        for own in QUERY_SECONDS.collect():
            named = Metric(QUERIES.name, QUERIES.meaning, "histogram")
            named.samples = [s._replace(name=s.name.replace(own.name, named.name)) for s in own.samples]
            yield named


def _at(family: families.Family, at: int | None) -> Metric:
    """A time in ms; no sample when it is None."""
    return family.empty() if at is None else family.of(at / 1000)


def _leader(process: Process) -> Iterator[Metric]:
    yield families.LEADER.of(int(process.leads))
    if process.lease is not None:
        yield families.LEADER_EPOCH.of(process.lease.epoch)
        yield families.LEASE_RENEWED_AT.of(process.lease.renewed_at / 1000)


def _jobs(process: Process) -> Iterator[Metric]:
    age, duration, failures = families.JOB_AGE.empty(), families.JOB_DURATION.empty(), families.JOB_FAILURES.empty()
    for name, facts in process.jobs.items():
        if facts.last_success_at is not None:
            age.add_metric([name], max(0.0, (process.now - facts.last_success_at) / 1000))
        if facts.last_duration is not None:
            duration.add_metric([name], facts.last_duration)
        failures.add_metric([name], facts.failures)
    yield from (age, duration, failures)
