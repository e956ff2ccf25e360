"""Snapshots by five minutes, hours and days, on both databases: nothing that a reader relies on gets lost on the way."""

from __future__ import annotations

import random

import msgspec
import pytest
from sqlalchemy import Connection, inspect, text

from collector.persist.engine import Store
from collector.rollup import snapshot as snapshot_module
from collector.rollup.history import Span, history
from collector.rollup.retention import Retentions, purge
from collector.rollup.snapshot import Snapshot, deployment_stats
from collector.wire.deployment import Source, StatsHistory, StatsPoint
from tests.records import DEPLOYMENT
from tests.rollup.test_history import P50, snapshot

DAY_MS = 86_400_000
BEGIN = 1_768_348_800_000  # 2026-01-14T00:00:00Z
RUNNING = "workspaces.running"


async def fill(store: Store, *snapshots: Snapshot) -> None:
    """Store them in the order given."""

    def work(connection: Connection) -> None:
        for one in snapshots:
            snapshot_module.store(connection, one)

    await store.transact(work)


async def history_of(store: Store, *, days: float, step: int, source: Source | None = None) -> StatsHistory:
    """The history from ``BEGIN``."""
    span = Span(DEPLOYMENT, BEGIN, BEGIN + int(days * DAY_MS), source)
    return await store.read(lambda connection: history(connection, span, step_seconds=step))


def an_hour() -> list[Snapshot]:
    """One snapshot each 30 s, with one peak and one moment of latency, which came in no order."""
    made = [snapshot(BEGIN + n * 30_000, running=n % 7, rx_bytes=1_000 + n) for n in range(120)]
    made[33] = snapshot(BEGIN + 33 * 30_000, running=999, p50=12.5)
    random.Random(1).shuffle(made)
    return made


def _seen(point: StatsPoint) -> tuple[object, ...]:
    assert point.min is not None
    assert point.max is not None
    assert point.avg is not None
    return point.samples, point.stats, point.min, point.max, point.avg[RUNNING]


@pytest.mark.parametrize("step", [300, 3_600])
async def test_a_point_says_what_its_snapshots_say(store: Store, step: int) -> None:
    """Last, extremes and average of coarse rows are those of the snapshots in them, also when these are gone."""
    made = sorted(an_hour(), key=lambda one: one.collected_at)
    await fill(store, *an_hour())
    answer = await history_of(store, days=1 / 24, step=step)
    await store.transact(lambda connection: connection.execute(text("DELETE FROM snapshots")))

    assert await history_of(store, days=1 / 24, step=step) == answer
    for point, first in zip(answer.points, range(0, 120, step // 30), strict=True):
        within = made[first : first + step // 30]
        counts = [one.workspaces.running for one in within]
        samples, stats, least, most, average = _seen(point)
        assert samples == point.expected == len(within)
        assert stats == deployment_stats(within[-1])
        assert (least[RUNNING], most[RUNNING]) == (min(counts), max(counts))  # type: ignore[index]
        assert average == pytest.approx(sum(counts) / len(counts))
        assert most[P50] == (12.5 if 33 in range(first, first + step // 30) else None)  # type: ignore[index]


async def test_a_snapshot_that_comes_again_is_not_counted_again(store: Store) -> None:
    """Neither as a row nor in any point."""
    await fill(store, *an_hour(), *an_hour())

    (point,) = (await history_of(store, days=1 / 24, step=3_600)).points
    assert point.samples == 120


async def test_old_time_is_known_by_the_hour(store: Store) -> None:
    """A step finer than what is kept becomes as long as that, and a peak of a day ago is still a peak."""
    await fill(store, *an_hour(), snapshot(BEGIN + 100 * DAY_MS, running=1))
    await purge(store.transact, Retentions(), now=BEGIN + 100 * DAY_MS)
    by_minute = await history_of(store, days=1 / 24, step=60)
    later = await history_of(store, days=99.9, step=3_600 * 24)

    assert by_minute.step_seconds == 3_600
    assert [point.max and point.max[RUNNING] for point in by_minute.points] == [999]
    assert [point.samples for point in later.points[:2]] == [120, 0]
    assert later.points[1].stats is None


async def test_what_would_take_long_to_read_is_read_coarser(store: Store) -> None:
    """A step that two weeks of snapshots would have to be summed up for becomes a multiple of five minutes."""
    await fill(store, *(snapshot(BEGIN + n * 3_600_000) for n in range(24 * 14)))
    assert (await history_of(store, days=14, step=607)).step_seconds == 900
    assert (await history_of(store, days=1, step=607)).step_seconds == 607
    assert (await history_of(store, days=14, step=3_600)).step_seconds == 3_600


async def test_two_sources_do_not_count_twice(store: Store) -> None:
    """A step shows the most exact source that it has, or the one that was asked for."""
    polled = [msgspec.structs.replace(snapshot(BEGIN + n * 30_000 + 7, running=5), source=Source.UPSTREAM) for n in range(5)]
    await fill(store, *polled, *(snapshot(BEGIN + n * 30_000, running=9) for n in range(20)))

    best = await history_of(store, days=1 / 144, step=300)
    reports = await history_of(store, days=1 / 144, step=300, source=Source.REPORTS)

    assert [(point.source, point.samples) for point in best.points] == [("upstream", 5), ("reports", 10)]
    assert [(point.source, point.samples) for point in reports.points] == [("reports", 10), ("reports", 10)]


async def test_two_sources_of_one_moment_are_both_kept(store: Store) -> None:
    """A snapshot that was polled is not lost because another source has one of the same millisecond."""
    own = snapshot(BEGIN, running=9)
    await fill(store, own, msgspec.structs.replace(own, source=Source.UPSTREAM))

    for source in (Source.REPORTS, Source.UPSTREAM):
        (point, *_) = (await history_of(store, days=1 / 144, step=300, source=source)).points
        assert (point.source, point.samples) == (source, 1)


async def test_the_view_tells_it_in_sql(store: Store) -> None:
    """On PostgreSQL stats_history has snapshots, five minutes, hours and days in one shape, and nobody can write to it."""
    views = await store.read(lambda connection: inspect(connection).get_view_names())
    assert ("stats_history" in views) == (store.dialect == "postgresql")
    if not views:
        return
    await fill(store, *an_hour())
    asked = text(
        "SELECT span_seconds, count(*), sum(samples), max(running_max), max(connection_latency_p50_ms_max), min(at)::text"
        " FROM stats_history GROUP BY span_seconds ORDER BY span_seconds"
    )
    found = await store.read(lambda connection: [tuple(row) for row in connection.execute(asked)])

    at = "2026-01-14 00:00:00+00"
    assert found == [(span, rows, 120, 999, 12.5, at) for span, rows in ((0, 120), (300, 12), (3_600, 1), (86_400, 1))]
    with pytest.raises(Exception, match="cannot delete from view"):
        await store.transact(lambda connection: connection.execute(text("DELETE FROM stats_history")))
