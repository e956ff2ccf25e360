"""What a process knows of itself at one scrape -> families, beside those of its instruments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from collector.persist.lease import Lease
from collector.persist.measured import QUERY_SECONDS, Connections
from collector.rollup.schedule import JobFacts
from collector.serve import families
from collector.serve.coder_families import QUERIES
from collector.serve.gathered import Key, with_workers


class Process(NamedTuple):
    """This process beside its instruments; times in ms."""

    queued: int
    oldest_s: float
    jobs: Mapping[str, JobFacts]
    connections: Connections | None  # None: they are not measured
    forwarded_left_out: int | None  # series that agents send; None: without metrics under Coder's names, of queries too
    canary_at: int | None  # when one was last stored, 0 for never; None: there is none
    now: int
    leads: bool
    lease: Lease | None  # as it was last seen
    workers: Mapping[str, Mapping[Key, float]] = {}  # what they have counted


def replica_metrics(process: Process) -> list[Metric]:
    """What every replica tells of itself alone."""
    queue = families.QUEUE.of(process.queued), families.QUEUE_OLDEST.of(process.oldest_s)
    canary = _at(families.CANARY_AT, process.canary_at)
    left_out = [] if process.forwarded_left_out is None else [families.AGENT_SERIES_LEFT_OUT.of(process.forwarded_left_out)]
    own = [*queue, *left_out, *_connections(process), canary, *_leader(process), *_jobs(process)]
    return [*with_workers(REGISTRY.collect(), process.workers), *own]


def _connections(process: Process) -> Iterator[Metric]:
    connections = families.DB_CONNECTIONS.empty()
    yield connections
    if process.connections is None:
        return
    for state, count in process.connections._asdict().items():
        connections.add_metric([state], count)
    if process.forwarded_left_out is not None:
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
