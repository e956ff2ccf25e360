"""The metrics that agents send of themselves: the newest value of each series, for two minutes.

They stand in memory: a value is of use until the next report, half a minute later, and after a restart every agent has sent
its own again before anybody has scraped twice. Rows would cost dozens of writes a report and be read by nobody.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client import Counter

from collector.wire.agentstats import AgentMetric
from collector.wire.identity import Agent

EXPIRE_MS = 2 * 60 * 1000  # as Coder's own aggregator
SERIES_OF_AN_AGENT = 300  # a real one has some sixty
SERIES_AT_MOST = 100_000  # of all agents: some 50 MB
NAMES_AT_MOST = 1_000
MAX_LABELS = 8
MAX_TEXT = 128  # characters of a name or of a label's value
TYPES = frozenset({"counter", "gauge"})
OURS = frozenset({"agent_name", "template_name", "username", "workspace_name"})  # labels that say whose series it is

DROPPED = Counter(
    "collector_agent_metrics_dropped",
    "Series of agents that were not taken or not kept: name, type, value, twice, too_many.",
    ["reason"],
)

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Series(NamedTuple):
    """One series of an agent; ``labels`` are sorted and without those that say whose it is."""

    name: str
    type: str  # counter or gauge
    labels: tuple[tuple[str, str], ...]
    value: float


class AgentMetrics:
    """The newest series of every agent. The one that has been silent for longest makes room when there are too many."""

    def __init__(self, most: int = SERIES_AT_MOST) -> None:
        self._most = most  # series
        self._agents: OrderedDict[tuple[str, str], tuple[Agent, int, tuple[Series, ...]]] = OrderedDict()
        self._names: dict[str, str] = {}  # the type that each name came with first
        self._count = 0

    def put(self, agent: Agent, metrics: Iterable[AgentMetric], *, now: int) -> None:
        """Keep ``metrics`` in place of what ``agent`` sent before; ``now`` in ms."""
        series = tuple(self._taken(metrics))
        self._forget(agent)
        if series:
            self._agents[agent.deployment, agent.agent_id] = agent, now, series
            self._count += len(series)
        self._expire(now)

    def current(self, now: int) -> list[tuple[Agent, tuple[Series, ...]]]:
        """The series of every agent that sent some within two minutes before ``now`` (ms)."""
        self._expire(now)
        return [(agent, series) for agent, _, series in self._agents.values()]

    def _taken(self, metrics: Iterable[AgentMetric]) -> Iterator[Series]:
        taken: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        for metric in metrics:
            labels = _labels(metric)
            reason = self._reason(metric, labels)
            if reason is None and len(taken) >= SERIES_OF_AN_AGENT:
                reason = "too_many"
            if reason is None and (metric.name, labels) in taken:
                reason = "twice"  # one duplicate makes Prometheus refuse the whole scrape
            if reason is not None or labels is None:
                DROPPED.labels(reason).inc()
                continue
            self._names.setdefault(metric.name, metric.type)
            taken.add((metric.name, labels))
            yield Series(metric.name, metric.type, labels, metric.value)

    def _reason(self, metric: AgentMetric, labels: tuple[tuple[str, str], ...] | None) -> str | None:
        """Why ``metric`` is not taken; None: it is."""
        if metric.type not in TYPES or self._names.get(metric.name, metric.type) != metric.type:
            return "type"
        if not _is_name(metric.name) or labels is None:
            return "name"
        if not math.isfinite(metric.value):
            return "value"
        if metric.name not in self._names and len(self._names) >= NAMES_AT_MOST:
            return "too_many"
        return None

    def _forget(self, agent: Agent) -> None:
        known = self._agents.pop((agent.deployment, agent.agent_id), None)
        if known is not None:
            self._count -= len(known[2])

    def _expire(self, now: int) -> None:
        while self._agents:
            agent, at, series = next(iter(self._agents.values()))
            old = at <= now - EXPIRE_MS
            if not old and self._count <= self._most:
                return
            if not old:
                DROPPED.labels("too_many").inc(len(series))
            self._forget(agent)
        if not self._agents:
            self._names.clear()


def _labels(metric: AgentMetric) -> tuple[tuple[str, str], ...] | None:
    """The labels in order; None when one cannot be used, or there are too many."""
    given = metric.labels or []
    names = {label.name for label in given}
    if len(given) > MAX_LABELS or len(names) < len(given) or names & OURS:
        return None
    if not all(_is_name(label.name) and len(label.value) <= MAX_TEXT and label.value.isprintable() for label in given):
        return None
    return tuple(sorted((label.name, label.value) for label in given))


def _is_name(text: str) -> bool:
    return len(text) <= MAX_TEXT and not text.startswith("__") and _NAME.fullmatch(text) is not None
