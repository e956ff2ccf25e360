"""Agent reports -> how a deployment's agents were used within a window of time."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from sqlalchemy import Connection, Integer, Select, func, literal, select

from collector.persist.tables import agent_stats, agents
from collector.wire.deployment import SessionCounts
from collector.wire.fields import INT64_MAX

NO_LATENCY = -1.0

_LATENCY = agent_stats.c.connection_median_latency_ms
_SESSIONS = [agent_stats.c[f"session_count_{app}"] for app in SessionCounts.__struct_fields__]


class AgentUse(msgspec.Struct, frozen=True):
    """Bytes moved, latency percentiles in milliseconds (-1: no report saw latency), and open sessions."""

    rx_bytes: int
    tx_bytes: int
    latency_p50_ms: float
    latency_p95_ms: float
    sessions: SessionCounts


def agent_use(connection: Connection, deployment: str, since: int) -> AgentUse:
    """Use of ``deployment``'s agents by the reports received after ``since``, a report of that very millisecond left out.

    Bytes are deltas and are summed over all reports. Percentiles are over the reports with a positive latency, one value a
    report. Sessions are gauges: the newest report of each agent counts.
    """
    sums = [*_halves(agent_stats.c.rx_bytes), *_halves(agent_stats.c.tx_bytes), func.count().filter(_LATENCY > 0)]
    *bytes_moved, latencies = connection.execute(_window(deployment, since, *sums)).one()
    p50, p95 = _percentiles(connection, _window(deployment, since, _LATENCY).where(_LATENCY > 0), latencies)
    return AgentUse(
        rx_bytes=_whole(*bytes_moved[:2]),
        tx_bytes=_whole(*bytes_moved[2:]),
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        sessions=_sessions(connection, deployment, since),
    )


def _window(deployment: str, since: int, *columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .join_from(agent_stats, agents, agents.c.id == agent_stats.c.agent)
        .where(agents.c.deployment == deployment, agent_stats.c.received_at > since)
    )


def _halves(column: Any) -> list[Any]:
    """The sums of a column's upper and lower 32 bits.

    SQLite fails on a sum beyond 64 bits, and one agent that sends two absurd numbers must not stop every snapshot.
    """
    upper, lower = column.bitwise_rshift(literal(32, Integer)), column.bitwise_and(0xFFFF_FFFF)
    return [func.coalesce(func.sum(upper), 0), func.coalesce(func.sum(lower), 0)]


def _whole(upper: Any, lower: Any) -> int:
    """The sum again; PostgreSQL gives its halves as Decimal. What no client could read as an int64 is cut to the largest."""
    return min((int(upper) << 32) + int(lower), INT64_MAX)


def _percentiles(connection: Connection, latencies: Select[Any], count: int) -> tuple[float, float]:
    if count == 0:
        return NO_LATENCY, NO_LATENCY
    if connection.dialect.name == "postgresql":
        value = latencies.subquery().c[0]
        p50, p95 = connection.execute(select(*(func.percentile_cont(p).within_group(value) for p in (0.5, 0.95)))).one()
        return p50, p95
    return _interpolated(connection, latencies, (0.5, 0.95), count)


def _interpolated(connection: Connection, latencies: Select[Any], ps: tuple[float, float], count: int) -> tuple[float, float]:
    """percentile_cont for SQLite, which lacks it: one sort inside the database, and only the neighbours come out.

    The place of ``p`` among ``count`` sorted values is p * (count - 1); between two neighbours it is interpolated.
    """
    value = latencies.selected_columns[0]
    ranked = latencies.add_columns(func.row_number().over(order_by=value).label("place")).subquery()
    places = [p * (count - 1) for p in ps]
    wanted = sorted({1 + neighbour for place in places for neighbour in (math.floor(place), math.ceil(place))})
    rows = connection.execute(select(ranked.c.place, ranked.c[0]).where(ranked.c.place.in_(wanted)))
    at = {place - 1: found for place, found in rows}

    def percentile(place: float) -> float:
        low, high = at[math.floor(place)], at[math.ceil(place)]
        return float(low + (place - math.floor(place)) * (high - low))

    return percentile(places[0]), percentile(places[1])


def _sessions(connection: Connection, deployment: str, since: int) -> SessionCounts:
    newest_first = func.row_number().over(
        partition_by=agent_stats.c.agent, order_by=(agent_stats.c.received_at.desc(), agent_stats.c.id.desc())
    )
    ranked = _window(deployment, since, newest_first.label("place"), *_SESSIONS).subquery()
    halves = [half for column in _SESSIONS for half in _halves(ranked.c[column.name])]
    sums = connection.execute(select(*halves).where(ranked.c.place == 1)).one()
    return SessionCounts(*(_whole(upper, lower) for upper, lower in zip(sums[::2], sums[1::2], strict=True)))
