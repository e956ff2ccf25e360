"""/metrics: the current snapshot, the running sums and the service's own health, as Prometheus reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from collector.http.appkeys import AI_USE, CANARY_AT, CAP, COUNTED, NOISE, NOW, SCHEDULE, SNAPSHOTS, STORE, WRITER
from collector.http.operation import Operation
from collector.normalize.noise import Rule
from collector.rollup.schedule import Schedule
from collector.rollup.snapshot import Snapshot
from collector.rollup.sources import SourceState, sources
from collector.rollup.totals import Totals, totals
from collector.rollup.workspace_groups import current_groups
from collector.rollup.workspaces import WorkspaceCounts
from collector.serve import families
from collector.serve.exported_use import aibridge_families, violation_families
from collector.wire.workspace_groups import WorkspaceGroup

MEDIA = ("text/plain", "application/openmetrics-text")
MAX_RULE_LABELS = 100


@Operation(media=MEDIA)
async def get_metrics(request: web.Request) -> web.Response:
    """All metrics for Prometheus, as text or as OpenMetrics by what `Accept` asks for.

    They are rendered on a thread: the event loop goes on meanwhile.
    """
    app = request.app
    now = app[NOW]()
    sums, given, groups = await app[STORE].read(
        lambda connection: (totals(connection), sources(connection), current_groups(connection, now=now))
    )
    read = [
        *_csp(sums),
        _noise(sums.matches, app[NOISE].rules),
        *_deployment(app[SNAPSHOTS].current),
        _deployments(app[SNAPSHOTS].of.values()),
        _sources(given),
        _groups(groups),
        *violation_families(app[COUNTED].current),
        *aibridge_families(app[AI_USE].current, app[AI_USE].currency),
        *_store(app[CAP].size_bytes, app[CAP].limit_bytes, app[WRITER].queue_depth),
        _canary(app[CANARY_AT]),
        *_jobs(app[SCHEDULE], now),
    ]
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    text = await asyncio.to_thread(lambda: encode(_registry(read)))
    # A charset parameter is part of the type that Prometheus 3 insists on, and aiohttp's argument takes none.
    return web.Response(body=text, headers={"Content-Type": content_type})


class _Families:
    """A collector of what was read for one scrape, beside the process's own instruments."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        yield from self._families


def _registry(families: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return registry


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


def _store(size: int, limit: int, queued: int) -> Iterator[Metric]:
    yield families.QUEUE.of(queued)
    yield families.STORE_BYTES.of(size)
    yield families.STORE_LIMIT.of(limit)


def _canary(last_success_at: Callable[[], int | None] | None) -> Metric:
    return families.CANARY_AT.empty() if last_success_at is None else families.CANARY_AT.of((last_success_at() or 0) / 1000)


def _jobs(schedule: Schedule, now: int) -> Iterator[Metric]:
    age, duration, failures = families.JOB_AGE.empty(), families.JOB_DURATION.empty(), families.JOB_FAILURES.empty()
    for name, facts in schedule.facts.items():
        if facts.last_success_at is not None:
            age.add_metric([name], max(0.0, (now - facts.last_success_at) / 1000))
        if facts.last_duration is not None:
            duration.add_metric([name], facts.last_duration)
        failures.add_metric([name], facts.failures)
    yield from (age, duration, failures)
