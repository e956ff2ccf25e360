"""Use of the agents within a window, on both databases."""

from __future__ import annotations

import random
import statistics

import pytest

from collector.persist import agentstats
from collector.persist.engine import Store
from collector.rollup.agentstats import AgentUse, agent_use
from collector.wire.deployment import SessionCounts
from collector.wire.records import AgentReport
from tests.records import DEPLOYMENT, NOW, agent_report

SINCE = NOW - 900_000


async def use_of(store: Store, *reports: AgentReport, deployment: str = DEPLOYMENT) -> AgentUse:
    """The use that ``reports`` make, stored in this order."""
    await store.transact(lambda connection: agentstats.store(connection, reports))
    return await store.read(lambda connection: agent_use(connection, deployment, SINCE))


async def test_nobody_reported(store: Store) -> None:
    """Zeros, and no latency is -1."""
    assert await use_of(store) == AgentUse(0, 0, -1, -1, SessionCounts(0, 0, 0, 0))


PERCENTILES: list[tuple[list[float], float, float]] = [
    ([1.0, 2.0], 1.5, 1.95),
    ([10.0], 10.0, 10.0),
    ([], -1.0, -1.0),
    ([-0.001], -1.0, -1.0),
    ([-1.0, 0.0, 10.0], 10.0, 10.0),
    ([5.0, 1.0, 4.0, 2.0, 3.0], 3.0, 4.8),
    ([7.0, 7.0, 7.0], 7.0, 7.0),
    ([float(n) for n in range(1, 22)], 11.0, 20.0),
    ([1e308, 1e308], 1e308, 1e308),
    ([5e-324], 5e-324, 5e-324),
]


async def test_percentiles(store: Store) -> None:
    """percentile_cont over the positive latencies: the same numbers on both databases."""
    for latencies, p50, p95 in PERCENTILES:
        name = str(latencies)
        reports = [agent_report(deployment=name, connection_median_latency_ms=latency) for latency in latencies]
        use = await use_of(store, *reports, deployment=name)

        assert (use.latency_p50_ms, use.latency_p95_ms) == pytest.approx((p50, p95), rel=1e-12), name


async def test_percentiles_of_many(store: Store) -> None:
    """Against the definition as the standard library has it, on a few thousand values."""
    values = [random.Random(n).expovariate(1 / 40) for n in range(3_000)]
    use = await use_of(store, *(agent_report(connection_median_latency_ms=value) for value in values))

    cuts = statistics.quantiles(values, n=20, method="inclusive")
    assert (use.latency_p50_ms, use.latency_p95_ms) == pytest.approx((cuts[9], cuts[18]))


async def test_bytes_are_summed_over_all_reports(store: Store) -> None:
    """Deltas add up, over agents and over the reports of one, with and without latency."""
    use = await use_of(
        store,
        agent_report(rx_bytes=1, tx_bytes=10),
        agent_report(rx_bytes=2, tx_bytes=20, connection_median_latency_ms=5.0),
        agent_report(agent_id="other", rx_bytes=4, tx_bytes=40),
    )

    assert (use.rx_bytes, use.tx_bytes) == (7, 70)


async def test_sums_are_exact_beyond_what_a_float_holds(store: Store) -> None:
    """One byte more than 2**60 is one byte more."""
    use = await use_of(store, agent_report(rx_bytes=2**60 + 1), agent_report(rx_bytes=2**32 - 1), agent_report(rx_bytes=2**32))

    assert use.rx_bytes == 2**60 + 2**33


async def test_absurd_numbers_stop_no_snapshot(store: Store) -> None:
    """Sums past an int64 are cut to the largest one, where SQLite would fail and Go clients too."""
    most = {"rx_bytes": 2**63 - 1, "tx_bytes": 2**63 - 1, "session_count_ssh": 2**63 - 1}
    use = await use_of(store, *(agent_report(agent_id=agent, **most) for agent in "abc"))

    assert (use.rx_bytes, use.tx_bytes, use.sessions.ssh) == (2**63 - 1,) * 3


async def test_the_window_begins_after_its_first_millisecond(store: Store) -> None:
    """Received at ``since`` is out, a millisecond later is in."""
    use = await use_of(
        store,
        agent_report(received_at=SINCE, rx_bytes=1, connection_median_latency_ms=1.0, session_count_ssh=1),
        agent_report(received_at=SINCE + 1, rx_bytes=2, connection_median_latency_ms=2.0, session_count_vscode=1),
    )

    assert use == AgentUse(2, 0, 2.0, 2.0, SessionCounts(vscode=1, ssh=0, jetbrains=0, reconnecting_pty=0))


async def test_sessions_are_those_of_each_agents_newest_report(store: Store) -> None:
    """Two reports of one agent with one session are one session, of two agents two."""
    use = await use_of(store, *(agent_report(session_count_vscode=1) for _ in range(2)))
    assert use.sessions.vscode == 1

    use = await use_of(store, agent_report(agent_id="other", session_count_vscode=1))
    assert use.sessions.vscode == 2


async def test_the_newest_report_is_by_receipt_then_by_order(store: Store) -> None:
    """A report received later wins wherever it stands; of two of one millisecond the one stored later."""
    use = await use_of(
        store,
        agent_report(agent_id="a", received_at=NOW, session_count_ssh=1),
        agent_report(agent_id="a", received_at=NOW - 1, session_count_ssh=9),
        agent_report(agent_id="b", session_count_jetbrains=9),
        agent_report(agent_id="b", session_count_jetbrains=2, session_count_reconnecting_pty=3),
    )

    assert use.sessions == SessionCounts(vscode=0, ssh=1, jetbrains=2, reconnecting_pty=3)


async def test_what_the_agent_says_of_the_time_does_not_matter(store: Store) -> None:
    """``collected_at`` is for display: a clock that is wrong neither hides a report nor makes it newer."""
    use = await use_of(
        store,
        agent_report(collected_at=NOW + 10**9, rx_bytes=1, session_count_ssh=1),
        agent_report(collected_at=0, rx_bytes=2, session_count_ssh=2),
    )

    assert (use.rx_bytes, use.sessions.ssh) == (3, 2)


async def test_deployments_do_not_mix(store: Store) -> None:
    """Another deployment's agents change nothing, even with the same ids."""
    use = await use_of(
        store,
        agent_report(rx_bytes=1, session_count_ssh=1, connection_median_latency_ms=1.0),
        agent_report(deployment="other", rx_bytes=8, session_count_ssh=8, connection_median_latency_ms=8.0),
    )

    assert use == AgentUse(1, 0, 1.0, 1.0, SessionCounts(vscode=0, ssh=1, jetbrains=0, reconnecting_pty=0))
