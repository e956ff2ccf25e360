"""What the service must show follows from what was acknowledged, by the rules of a snapshot."""

from __future__ import annotations

import msgspec
import pytest

from collector.simulate.agentstats import IDLE, AgentRow, Stats
from collector.simulate.ledger import WINDOW_MS, Ledger

NOW = 1_790_000_000_000


def row(agent: str, **stats: float) -> AgentRow:
    """A report of one agent; what is not given is idle."""
    names = dict.fromkeys(AgentRow.__struct_fields__, agent)
    return msgspec.convert(names | {"stats": msgspec.to_builtins(IDLE) | stats}, AgentRow)


@pytest.mark.parametrize(
    ("latencies", "p50", "p95"),
    [([1, 2], 1.5, 1.95), ([10], 10, 10), ([], -1, -1), ([-0.001, 0, 5], 5, 5), ([4, 1, 3, 2, 5], 3, 4.8)],
)
def test_percentiles_are_those_of_the_database(latencies: list[float], p50: float, p95: float) -> None:
    """Percentiles interpolate between neighbours like percentile_cont, over positive latencies only; -1 without any."""
    ledger = Ledger()
    ledger.agents_accepted([row("a", connection_median_latency_ms=latency) for latency in latencies], set(), NOW)

    state = ledger.fleet(NOW)

    assert state.latency_p50_ms == pytest.approx(p50)
    assert state.latency_p95_ms == pytest.approx(p95)


def test_only_the_newest_report_of_an_agent_has_sessions() -> None:
    """Sessions are of the newest row of each agent, the later one within a body; bytes are of all rows."""
    ledger = Ledger()
    ledger.agents_accepted([row("a", session_count_ssh=3, rx_bytes=1), row("b", session_count_ssh=1, rx_bytes=2)], set(), NOW)
    ledger.agents_accepted(
        [row("a", session_count_ssh=5, rx_bytes=4), row("a", session_count_vscode=1, rx_bytes=8)], {0}, NOW + 1
    )

    state = ledger.fleet(NOW + 1)

    assert (state.sessions.ssh, state.sessions.vscode) == (1, 1)
    assert state.rx_bytes == 11


def test_what_is_older_than_the_window_is_gone() -> None:
    """A report counts for 15 minutes, and not at their end."""
    ledger = Ledger()
    ledger.agents_accepted([row("a", session_count_ssh=1, tx_bytes=7)], set(), NOW)

    assert ledger.fleet(NOW + WINDOW_MS - 1).tx_bytes == 7
    assert ledger.fleet(NOW + WINDOW_MS).tx_bytes == 0
    assert ledger.fleet(NOW + WINDOW_MS).sessions.ssh == 0


def test_an_idle_agent_sends_what_coder_sends() -> None:
    """An agent that nobody is connected to reports a latency of -0.001, which is no latency."""
    assert msgspec.json.decode(msgspec.json.encode(IDLE), type=Stats).connection_median_latency_ms == -0.001
