"""The history of snapshots, on both databases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from collector.persist.engine import Store
from collector.rollup import snapshot as snapshot_module
from collector.rollup.agentstats import AgentUse
from collector.rollup.history import KINDS, Span, history, nice_step
from collector.rollup.snapshot import Snapshot, deployment_stats, utc
from collector.rollup.workspaces import WorkspaceCounts
from collector.wire.deployment import SessionCounts, Source, StatsHistory
from collector.wire.errors import InvalidInput
from tests.records import DEPLOYMENT, NOW

MINUTE_MS = 60_000
P50 = "workspaces.connection_latency_ms.p50"


def snapshot(
    at: int, *, running: int = 0, ssh: int = 0, rx_bytes: int = 0, p50: float = -1.0, deployment: str = DEPLOYMENT
) -> Snapshot:
    """The snapshot of the moment ``at``."""
    return Snapshot(
        deployment=deployment,
        source=Source.REPORTS,
        aggregated_from=at - 900_000,
        collected_at=at,
        next_update_at=at + 30_000,
        workspaces=WorkspaceCounts(pending=0, building=0, running=running, failed=0, stopped=0),
        agents=AgentUse(rx_bytes, 0, p50, p50, SessionCounts(vscode=0, ssh=ssh, jetbrains=0, reconnecting_pty=0)),
    )


async def history_of(store: Store, *snapshots: Snapshot, since: int = NOW, until: int, step: int = 60) -> StatsHistory:
    """The history after ``snapshots`` were stored."""

    def fill(connection: Connection) -> None:
        for one in snapshots:
            snapshot_module.store(connection, one)

    await store.transact(fill)
    return await store.read(lambda connection: history(connection, Span(DEPLOYMENT, since, until), step_seconds=step))


async def test_a_step_shows_its_last_snapshot(store: Store) -> None:
    """``stats`` is that snapshot as /deployment/stats showed it; min, max and avg are over all of the step."""
    moments = [snapshot(NOW + n * 20_000, running=running, ssh=1) for n, running in enumerate([5, 1, 3])]
    answer = await history_of(store, *moments, until=NOW + MINUTE_MS)

    (point,) = answer.points
    assert (point.at, point.source) == (utc(NOW), "reports")
    assert point.stats == deployment_stats(moments[-1])
    assert point.min is not None
    assert point.max is not None
    assert point.avg is not None
    assert [of["workspaces.running"] for of in (point.min, point.max, point.avg)] == [1, 5, 3.0]
    assert [of["session_count.ssh"] for of in (point.min, point.max, point.avg)] == [1, 1, 1.0]


async def test_a_step_without_a_snapshot_is_a_gap(store: Store) -> None:
    """A gap is null, never a zero and never the value before it."""
    answer = await history_of(store, snapshot(NOW), snapshot(NOW + 2 * MINUTE_MS), until=NOW + 4 * MINUTE_MS)

    assert [point.at for point in answer.points] == [utc(NOW + n * MINUTE_MS) for n in range(4)]
    assert [point.stats is None for point in answer.points] == [False, True, False, True]
    gap = answer.points[1]
    assert (gap.source, gap.min, gap.max, gap.avg) == (None, None, None, None)


async def test_window_sums_are_never_added_up(store: Store) -> None:
    """Windows of fifteen minutes overlap: each step shows the last sum and the extremes, and no average."""
    answer = await history_of(store, *(snapshot(NOW + n * 20_000, rx_bytes=100 + n) for n in range(3)), until=NOW + MINUTE_MS)

    (point,) = answer.points
    assert point.stats is not None
    assert point.stats.workspaces.rx_bytes == 102
    assert point.min is not None
    assert point.max is not None
    assert point.avg is not None
    assert (point.min["workspaces.rx_bytes"], point.max["workspaces.rx_bytes"]) == (100, 102)
    assert "workspaces.rx_bytes" not in point.avg


async def test_percentiles_are_never_averaged(store: Store) -> None:
    """They have extremes only, over the snapshots that saw latency; in a step that saw none they are null."""
    answer = await history_of(
        store,
        *(snapshot(NOW + n * 20_000, p50=p50) for n, p50 in enumerate([12.5, -1.0, 20.0])),
        snapshot(NOW + MINUTE_MS),
        until=NOW + 2 * MINUTE_MS,
    )

    seen, unseen = answer.points
    assert seen.min is not None
    assert seen.max is not None
    assert unseen.min is not None
    assert unseen.max is not None
    assert (seen.min[P50], seen.max[P50]) == (12.5, 20)
    assert (unseen.min[P50], unseen.max[P50]) == (None, None)
    assert not {name for point in answer.points for name in point.avg or {} if KINDS[name] != "gauge"}
    assert unseen.stats is not None
    assert unseen.stats.workspaces.connection_latency_ms.p50 == -1


async def test_every_number_of_the_stats_has_a_kind(store: Store) -> None:
    """``fields`` names each leaf of ``stats`` but the times and the second spelling of the percentiles."""
    answer = await history_of(store, snapshot(NOW), until=NOW + MINUTE_MS)

    def leaves(value: Any, path: str) -> set[str]:
        if not isinstance(value, dict):
            return {path}
        return {leaf for key, inner in value.items() for leaf in leaves(inner, f"{path}.{key}".removeprefix("."))}

    numbers = {leaf for leaf in leaves(msgspec.to_builtins(answer.points[0].stats), "") if not leaf.endswith(("_at", "_from"))}
    assert set(answer.fields) == {leaf for leaf in numbers if not leaf.endswith((".P50", ".P95"))}
    assert set(answer.fields.values()) == {"gauge", "window_sum", "percentile"}
    point = answer.points[0]
    assert set(point.min or {}) == set(point.max or {}) == set(answer.fields)
    assert set(point.avg or {}) == {name for name, kind in answer.fields.items() if kind == "gauge"}


async def test_the_span_is_half_open(store: Store) -> None:
    """A snapshot at ``since`` counts, one at ``until`` does not, and steps are counted from the epoch."""
    snapshots = [snapshot(NOW + n * 30_000, running=n) for n in range(5)]
    answer = await history_of(store, *snapshots, since=NOW + 30_000, until=NOW + 3 * 30_000)

    assert [(point.at, point.stats and point.stats.workspaces.running) for point in answer.points] == [
        (utc(NOW), 1),
        (utc(NOW + MINUTE_MS), 2),
    ]


async def test_other_deployments_are_left_out(store: Store) -> None:
    """Also at the very same moments."""
    answer = await history_of(
        store, snapshot(NOW, running=1), snapshot(NOW, running=9, deployment="other"), until=NOW + MINUTE_MS
    )

    assert [point.max and point.max["workspaces.running"] for point in answer.points] == [1]
    assert answer.deployment == DEPLOYMENT


async def test_absurd_numbers_are_answered(store: Store) -> None:
    """The largest counts there can be overflow neither database's sums."""
    snapshots = [snapshot(NOW + n, running=2**63 - 1, rx_bytes=2**63 - 1, p50=1e300) for n in range(3)]
    (point,) = (await history_of(store, *snapshots, until=NOW + MINUTE_MS)).points

    assert point.avg is not None
    assert point.avg["workspaces.running"] == pytest.approx(2.0**63)
    assert point.max is not None
    assert point.max["workspaces.rx_bytes"] == 2**63 - 1


UNUSABLE = [
    (NOW, NOW, 60, "from"),
    (NOW + 1, NOW, 60, "from"),
    (-1, NOW, 86_400, "from"),
    (NOW, 10**18, 86_400, "from"),
    (NOW, NOW + 1, 0, "step"),
    (NOW, NOW + 1, -60, "step"),
    (NOW, NOW + 1, 10**12, "step"),
    (NOW, NOW + 2_001 * 1_000, 1, "step"),
]


async def test_what_cannot_be_drawn_is_refused_by_name(store: Store) -> None:
    """Spans and steps that make no points, or more than 2,000, name the parameter."""
    for since, until, step, field in UNUSABLE:
        with pytest.raises(InvalidInput) as refusal:
            await history_of(store, since=since, until=until, step=step)
        assert [validation.field for validation in refusal.value.validations] == [field]


async def test_two_thousand_points_are_the_most(store: Store) -> None:
    """One more is refused above."""
    assert len((await history_of(store, until=NOW + 2_000 * 1_000, step=1)).points) == 2_000


@pytest.mark.parametrize(
    ("hours", "interval_ms", "step"),
    [
        (1, 30_000, 60),
        (24, 30_000, 300),
        (24, 3_600_000, 7_200),
        (24 * 30, 30_000, 7_200),
        (24 * 365, 30_000, 86_400),
        (24 * 365 * 20, 30_000, 3 * 604_800),
    ],
)
def test_a_step_that_makes_a_chart(hours: int, interval_ms: int, step: int) -> None:
    """Round numbers, at most 400 points, and at least two intervals long, so that a late snapshot leaves no gap."""
    assert nice_step(NOW, NOW + hours * 3_600_000, interval_ms) == step
