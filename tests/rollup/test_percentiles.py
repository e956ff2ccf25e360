"""Percentiles without sorting everything: exact, whatever the sample says."""

from __future__ import annotations

import random
import statistics

import pytest
from sqlalchemy import Connection, func, select

from collector.persist import agentstats
from collector.persist.engine import Store
from collector.persist.tables import agent_stats
from collector.rollup.percentiles import Bracket, brackets, interpolated
from tests.records import agent_report

LATENCY = agent_stats.c.connection_median_latency_ms
WANTED = (0.5, 0.95)


async def stored(store: Store, count: int) -> list[float]:
    """So many reports, and their latencies."""
    values = [random.Random(n).expovariate(1 / 40) for n in range(count)]
    reports = [agent_report(agent_id=f"a{n % 50}", connection_median_latency_ms=value) for n, value in enumerate(values)]
    await store.transact(lambda connection: agentstats.store(connection, reports))
    return values


def exact(values: list[float]) -> list[float]:
    """As the standard library has them."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return [cuts[9], cuts[18]]


def by(connection: Connection, found: list[Bracket]) -> list[float]:
    """The percentiles of all latencies, looked for in ``found``."""
    counts = [connection.scalar(select(func.count()).where(bracket.low > LATENCY)) or 0 for bracket in found]
    total = connection.scalar(select(func.count()).select_from(agent_stats)) or 0
    return interpolated(connection, select(LATENCY), total, found, counts)


async def test_a_sample_says_where_to_look(store: Store) -> None:
    """Of 20,000 values the percentiles are exact, and few of them are looked at one by one."""
    values = await stored(store, 20_000)
    found = await store.read(lambda c: brackets(c, select(LATENCY), agent_stats.c.id, WANTED))
    near = sum(any(low <= value <= high for _, low, high in found) for value in values)

    assert near < len(values) / 2
    assert await store.read(lambda c: by(c, found)) == pytest.approx(exact(values))


async def test_a_sample_that_misleads_costs_time_only(store: Store) -> None:
    """Where a percentile lies outside of what the sample said, all values are sorted, and it is as exact."""
    values = await stored(store, 300)
    misleading = [Bracket(0.5, 1e6, 2e6), Bracket(0.95, 0.0, 0.001)]

    assert await store.read(lambda c: by(c, misleading)) == pytest.approx(exact(values))
