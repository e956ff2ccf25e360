"""/metrics: the current snapshot, the running sums and the service's own health, as Prometheus reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from collector.http.appkeys import CAP, NOISE, NOW, SCHEDULE, SNAPSHOTS, STORE, WRITER
from collector.http.operation import Operation
from collector.normalize.noise import Rule
from collector.rollup.schedule import Schedule
from collector.rollup.snapshot import Snapshot
from collector.rollup.totals import Totals, totals

MEDIA = ("text/plain", "application/openmetrics-text")
MAX_RULE_LABELS = 100


@Operation(media=MEDIA)
async def get_metrics(request: web.Request) -> web.Response:
    """Everything in the format the scraper asks for. It is rendered on a thread: the event loop goes on meanwhile."""
    app = request.app
    sums = await app[STORE].read(totals)
    families = [
        *_csp(sums),
        _noise(sums.matches, app[NOISE].rules),
        *_deployment(app[SNAPSHOTS].current),
        *_store(app[CAP].size_bytes, app[CAP].limit_bytes, app[WRITER].queue_depth),
        *_jobs(app[SCHEDULE], app[NOW]()),
    ]
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    text = await asyncio.to_thread(lambda: encode(_registry(families)))
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
    reports = CounterMetricFamily(
        "collector_csp_reports",
        "CSP reports counted among the violations.",
        labels=["project", "directive", "disposition", "noise_class"],
    )
    for row in sums.csp:
        reports.add_metric([row.project, row.directive, row.disposition, row.noise_class], row.count)
    dropped = CounterMetricFamily(
        "collector_csp_dropped_reports", "CSP reports acknowledged and left out, by reason.", labels=["project", "reason"]
    )
    for drop in sums.drops:
        dropped.add_metric([drop.project, drop.reason], drop.count)
    others = CounterMetricFamily(
        "collector_other_reports", "Reports of the Reporting API that are not about CSP.", labels=["project", "type"]
    )
    for other in sums.others:
        others.add_metric([other.project, other.type], other.count)
    yield from (reports, dropped, others)


def _noise(matches: Mapping[str, int], rules: Sequence[Rule]) -> Metric:
    """The first rules in effect alone, by rank: the names come from an operator's file, and are labels here."""
    matched = CounterMetricFamily("collector_noise_rule_matches", "CSP reports that a noise rule matched.", labels=["rule"])
    for rule in rules[:MAX_RULE_LABELS]:
        matched.add_metric([rule.name], matches.get(rule.name, 0))
    return matched


def _deployment(snapshot: Snapshot | None) -> Iterator[Metric]:
    if snapshot is None:
        return
    workspaces = GaugeMetricFamily(
        "collector_deployment_workspaces", "Workspaces by the state of their newest build.", labels=["status"]
    )
    for status, count in msgspec.structs.asdict(snapshot.workspaces).items():
        workspaces.add_metric([status], count)
    sessions = GaugeMetricFamily(
        "collector_deployment_sessions", "Sessions open at each agent's newest report.", labels=["app"]
    )
    for app, count in msgspec.structs.asdict(snapshot.agents.sessions).items():
        sessions.add_metric([app], count)
    latency = GaugeMetricFamily(
        "collector_deployment_connection_latency_seconds",
        "Median connection latency of agent reports in the window. Absent while none was seen.",
        labels=["percentile"],
    )
    for percentile, milliseconds in (("50", snapshot.agents.latency_p50_ms), ("95", snapshot.agents.latency_p95_ms)):
        if milliseconds >= 0:
            latency.add_metric([percentile], milliseconds / 1000)
    yield from (workspaces, sessions, latency)
    yield GaugeMetricFamily(
        "collector_deployment_rx_bytes", "Bytes that agents received in the window.", value=snapshot.agents.rx_bytes
    )
    yield GaugeMetricFamily(
        "collector_deployment_tx_bytes", "Bytes that agents sent in the window.", value=snapshot.agents.tx_bytes
    )
    yield GaugeMetricFamily(
        "collector_snapshot_timestamp_seconds", "When the current snapshot was built.", value=snapshot.collected_at / 1000
    )


def _store(size: int, limit: int, queued: int) -> Iterator[Metric]:
    yield GaugeMetricFamily("collector_queue_reports", "Reports and rows that wait for the writer.", value=queued)
    yield GaugeMetricFamily("collector_store_bytes", "Space that the data takes up in the store.", value=size)
    yield GaugeMetricFamily("collector_store_limit_bytes", "COLLECTOR_MAX_STORE_BYTES; 0 is no limit.", value=limit)


def _jobs(schedule: Schedule, now: int) -> Iterator[Metric]:
    age = GaugeMetricFamily("collector_job_age_seconds", "Time since the job last succeeded.", labels=["job"])
    duration = GaugeMetricFamily("collector_job_duration_seconds", "How long the job's last run took.", labels=["job"])
    failures = CounterMetricFamily("collector_job_failures", "Runs of the job that failed.", labels=["job"])
    for name, facts in schedule.facts.items():
        if facts.last_success_at is not None:
            age.add_metric([name], max(0.0, (now - facts.last_success_at) / 1000))
        if facts.last_duration is not None:
            duration.add_metric([name], facts.last_duration)
        failures.add_metric([name], facts.failures)
    yield from (age, duration, failures)
