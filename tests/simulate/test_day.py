"""The simulated history looks like a day of work."""

from __future__ import annotations

from datetime import UTC, datetime

from collector.simulate.day import day

MIDNIGHT = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000


def test_a_day_covers_24_hours() -> None:
    """The states stand a step apart, begin 24 hours ago and end now; the same seed gives the same day."""
    states = list(day(MIDNIGHT + 123, workspaces=300, seed=3, step_ms=5 * MINUTE))

    times = [at for at, _ in states]
    assert times == list(range(MIDNIGHT + 123 - 288 * 5 * MINUTE, MIDNIGHT + 124, 5 * MINUTE))
    assert states == list(day(MIDNIGHT + 123, workspaces=300, seed=3, step_ms=5 * MINUTE))
    assert states != list(day(MIDNIGHT + 123, workspaces=300, seed=4, step_ms=5 * MINUTE))


def test_people_come_and_go() -> None:
    """At ten in the morning there are many times the sessions and the traffic of the night, and fewer at lunch."""
    states = dict(day(MIDNIGHT, workspaces=500, seed=1, step_ms=30 * MINUTE))

    def sessions(hour: float) -> int:
        found = states[int(MIDNIGHT - (24 - hour) * 60 * MINUTE)].sessions
        return found.vscode + found.ssh + found.jetbrains + found.reconnecting_pty

    assert sessions(10) > 5 * sessions(3) > 0
    assert sessions(12.5) < 0.85 * min(sessions(10), sessions(15))
    assert states[MIDNIGHT - 14 * 60 * MINUTE].tx_bytes > 3 * states[MIDNIGHT - 21 * 60 * MINUTE].tx_bytes


def test_no_state_is_impossible() -> None:
    """No count is negative, no day holds more workspaces than there are, p95 is over p50; an empty fleet has no latency."""
    for workspaces in (0, 1, 7, 500):
        for _, state in day(MIDNIGHT, workspaces=workspaces, seed=9, step_ms=7 * MINUTE):
            counts = [getattr(state.workspaces, name) for name in state.workspaces.__struct_fields__]
            assert min(counts) >= 0
            assert sum(counts) <= workspaces
            assert min(state.rx_bytes, state.tx_bytes) >= 0
            assert state.latency_p95_ms >= state.latency_p50_ms
            assert workspaces or state.latency_p50_ms == -1
