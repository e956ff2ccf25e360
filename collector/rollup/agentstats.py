"""Agent reports -> how a deployment's agents were used within a window of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    case,
    func,
    literal,
    select,
    true,
)

from collector.persist.tables import agent_stats, agents
from collector.rollup.percentiles import brackets, interpolated
from collector.wire.deployment import SessionCounts
from collector.wire.fields import INT64_MAX

NO_LATENCY = -1.0
PERCENTILES = (0.5, 0.95)
# A window is fifteen minutes long. What is received later than an hour after its begin was stored before a clock was put back:
# of such reports of an agent the one stored last is the newest.
LATEST_MS, ID_BITS = (1 << 22) - 1, 41

_LATENCY = agent_stats.c.connection_median_latency_ms
_SUMMED = ("rx_bytes", "tx_bytes", *SessionCounts.__struct_fields__)


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
    latencies = _window(deployment, since, _LATENCY).where(_LATENCY > 0)
    found = brackets(connection, latencies, agent_stats.c.id, PERCENTILES)
    counts = [_LATENCY > 0, *(and_(_LATENCY > 0, bracket.low > _LATENCY) for bracket in found)]
    sums = list(connection.execute(_sums(connection.dialect.name, deployment, since, counts)).one())
    rx_bytes, tx_bytes, *sessions = (_whole(*sums[place : place + 2]) for place in range(0, 2 * len(_SUMMED), 2))
    count, *counted = map(int, sums[2 * len(_SUMMED) :])  # PostgreSQL gives Decimal
    p50, p95 = interpolated(connection, latencies, count, found, counted) if count else [NO_LATENCY for _ in PERCENTILES]
    return AgentUse(rx_bytes, tx_bytes, p50, p95, SessionCounts(*sessions))


def _sums(dialect: str, deployment: str, since: int, counts: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Halves of the sums of bytes, then of sessions, then how many reports each of ``counts`` is true of.

    Agent by agent: whose they are, and which report is the newest, is then looked up once an agent and not once a report.
    """
    own = agent_stats.c
    moved = [half.label(f"moved_{number}") for number, half in enumerate(_halves(own.rx_bytes) + _halves(own.tx_bytes))]
    counted = [func.count().filter(each).label(f"counted_{number}") for number, each in enumerate(counts)]
    by_agent = (
        select(own.agent, _newest(since).label("newest"), *moved, *counted)
        .where(own.received_at > since)
        .group_by(own.agent)
        .subquery()
    )
    newest: FromClause = agent_stats.alias("newest")
    is_newest: ColumnElement[bool] = newest.c.id == by_agent.c.newest
    if dialect == "postgresql":
        # It would rather hash the whole window again than look up one report an agent. LIMIT makes it look up.
        newest, is_newest = select(newest).where(is_newest, newest.c.received_at > since).limit(1).lateral(), true()
    sessions = [half for name in SessionCounts.__struct_fields__ for half in _halves(newest.c[f"session_count_{name}"])]
    sums = [func.coalesce(func.sum(by_agent.c[each.name]), 0) for each in (*moved, *counted)]
    return (
        select(*sums[: len(moved)], *sessions, *sums[len(moved) :])
        .join_from(by_agent, agents, agents.c.id == by_agent.c.agent)
        .join(newest, is_newest)
        .where(agents.c.deployment == deployment)
    )


def _newest(since: int) -> ColumnElement[int]:
    """The id of the newest report of a group: the highest (received_at, id), as one number, of which it is the lower part."""
    after = agent_stats.c.received_at - literal(since, BigInteger)
    bounded = case((after > LATEST_MS, literal(LATEST_MS, BigInteger)), else_=after)
    key = bounded.bitwise_lshift(literal(ID_BITS, Integer)).bitwise_or(agent_stats.c.id)
    return func.max(key).bitwise_and(literal((1 << ID_BITS) - 1, BigInteger))


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
