"""What a Coder server says of itself, in every way that servers have said it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.normalize.upstream import upstream_build, upstream_stats
from collector.wire.errors import InvalidReport
from collector.wire.fields import INT64_MAX
from tests.examples import examples

ANSWER: dict[str, Any] = {
    "aggregated_from": "2026-01-14T10:44:00.123456789+01:00",
    "collected_at": "2026-01-14T09:59:00.5Z",
    "next_update_at": "2026-01-14T09:59:30.5Z",
    "workspaces": {
        "pending": 1, "building": 2, "running": 3, "failed": 4, "stopped": 5,
        "connection_latency_ms": {"P50": 12.5, "P95": 20}, "rx_bytes": 6, "tx_bytes": 7,
    },
    "session_count": {"vscode": 8, "ssh": 9, "jetbrains": 10, "reconnecting_pty": 11},
}  # fmt: skip
AT = 1_768_384_740_500


def encoded(**changes: Any) -> bytes:
    return msgspec.json.encode({**ANSWER, **changes})


def test_times_have_offsets_and_nanoseconds() -> None:
    """They are instants, in whole milliseconds."""
    stats = upstream_stats(encoded())

    assert (stats.collected_at, stats.next_update_at) == (AT, AT + 30_000)
    assert stats.aggregated_from == AT - 900_377  # 09:44:00.123Z


@pytest.mark.parametrize(
    ("latency", "found"),
    [
        ({"P50": 1, "P95": 2}, (1, 2)),
        ({"p50": 1, "p95": 2}, (1, 2)),
        ({"p50": 3, "P50": 1, "p95": 4, "P95": 2}, (1, 2)),
        ({"P50": -1, "P95": -1}, (-1, -1)),
        ({"P50": None}, (-1, -1)),
        ({}, (-1, -1)),
    ],
)
def test_percentiles_in_both_spellings(latency: dict[str, Any], found: tuple[float, float]) -> None:
    """What the server writes outranks what its documentation says; none is -1."""
    stats = upstream_stats(encoded(workspaces={**ANSWER["workspaces"], "connection_latency_ms": latency}))

    assert (stats.latency_p50_ms, stats.latency_p95_ms) == found


@pytest.mark.parametrize("following", ["2026-01-14T09:59:00Z", "0001-01-01T00:00:00Z", "2027-01-14T09:59:00Z"])
def test_an_absurd_next_time_is_the_usual_interval(following: str) -> None:
    """It has passed already, is none, or is a year ahead."""
    assert upstream_stats(encoded(next_update_at=following)).next_update_at == AT + 30_000


@pytest.mark.parametrize(
    "changes",
    [
        {"collected_at": "0001-01-01T00:00:00Z"},
        {"collected_at": "1969-12-31T00:00:00Z"},
        {"collected_at": "yesterday"},
        {"workspaces": {}},
        {"workspaces": {**ANSWER["workspaces"], "running": -1}},
        {"workspaces": {**ANSWER["workspaces"], "running": INT64_MAX + 1}},
    ],
)
def test_what_cannot_be_kept_is_refused(changes: dict[str, Any]) -> None:
    """A snapshot without its time or its counts is none."""
    with pytest.raises(InvalidReport):
        upstream_stats(encoded(**changes))


def test_a_deployment_is_a_uuid() -> None:
    """It becomes a label and a key, so nothing else is taken; the version is one clean line."""
    build = upstream_build(b'{"deployment_id": "8C3E1D52-94A7-4F0E-8A5A-2B1F3B9A7C11", "version": "v2.30.0\\n+x"}')
    assert (build.deployment, build.version) == ("8c3e1d52-94a7-4f0e-8a5a-2b1f3b9a7c11", "v2.30.0 +x")

    with pytest.raises(InvalidReport):
        upstream_build(b'{"deployment_id": "\\u202ecoder"}')


QUICK = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])

_LEAF = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=8)
_ANY = _LEAF | st.lists(_LEAF, max_size=2) | st.dictionaries(st.sampled_from(["P50", "vscode", "running"]), _LEAF, max_size=2)
_BODIES = st.binary() | st.builds(
    lambda changes: msgspec.json.encode({**ANSWER, **changes}), st.dictionaries(st.sampled_from(list(ANSWER)), _ANY, max_size=2)
)


@QUICK
@given(_BODIES)
def test_any_body_is_stats_or_is_refused(body: bytes) -> None:
    """Nothing else is raised, and what is kept fits into both databases."""
    try:
        stats = upstream_stats(body)
    except InvalidReport:
        return
    times = (stats.aggregated_from, stats.collected_at, stats.next_update_at)
    assert 0 <= times[0] <= times[1] < times[2]
    assert all(0 <= count <= INT64_MAX for count in msgspec.structs.astuple(stats.sessions))
    assert stats.latency_p50_ms >= -1


@QUICK
@given(st.binary() | _ANY.map(lambda version: msgspec.json.encode({"deployment_id": str(version), "version": version})))
def test_any_body_is_a_build_or_is_refused(body: bytes) -> None:
    """Nothing else is raised."""
    try:
        assert len(upstream_build(body).deployment) == 36
    except InvalidReport:
        return
