"""After a simulation the real service shows what was acknowledged, to the last report."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.simulate.plan import Plan, Summary
from collector.simulate.run import run
from tests.service import Service, run_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A collector with default limits that nobody has reported to."""
    with run_service(tmp_path) as running:
        yield running


def timestamp(at_ms: int) -> str:
    """A time as the API takes it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


async def stats_after(service: Service, at_ms: int) -> dict[str, Any]:
    """The deployment stats of the first snapshot whose reading began after ``at_ms``."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        stats: dict[str, Any] = await asyncio.to_thread(service.get, "/api/v2/deployment/stats")
        window_end = datetime.fromisoformat(stats["aggregated_from"]) + timedelta(minutes=15)
        if window_end.timestamp() * 1000 > at_ms:
            return stats
        await asyncio.sleep(0.1)  # the schedule is that of another process
    pytest.fail("no snapshot was built within 20 s")


def all_violations(service: Service) -> list[dict[str, Any]]:
    """Every violation, page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = service.get(f"/api/v2/csp/violations?noise=include&limit=50{after}")
        found += page["results"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def samples(service: Service) -> list[tuple[str, dict[str, str], float]]:
    """What Prometheus would read: name, labels, value."""
    families = text_string_to_metric_families(service.counted())
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def assert_stats(stats: dict[str, Any], summary: Summary) -> None:
    """The snapshot is the state that the simulation ended in."""
    expected, shown = summary.expected, stats["workspaces"]
    assert {name: shown[name] for name in expected.workspaces.__struct_fields__} == msgspec.to_builtins(expected.workspaces)
    assert stats["session_count"] == msgspec.to_builtins(expected.sessions)
    assert (shown["rx_bytes"], shown["tx_bytes"]) == (expected.rx_bytes, expected.tx_bytes)
    assert shown["connection_latency_ms"]["p50"] == pytest.approx(expected.latency_p50_ms)
    assert shown["connection_latency_ms"]["p95"] == pytest.approx(expected.latency_p95_ms)


def assert_violations(violations: list[dict[str, Any]], summary: Summary) -> None:
    """Counts agree by directive, disposition and noise."""
    shown: Counter[tuple[str, str, bool]] = Counter()
    for violation in violations:
        for disposition, count in violation["counts"].items():
            shown[violation["effective_directive"], disposition, violation["noise_class"] is not None] += count
        assert violation["count"] == sum(violation["counts"].values())
    assert +shown == acknowledged(summary)


def assert_metrics(read: list[tuple[str, dict[str, str], float]], summary: Summary) -> None:
    """The exporter tells the same, in its own units."""
    shown: Counter[tuple[str, str, bool]] = Counter()
    for name, labels, value in read:
        if name == "collector_csp_reports_total":
            shown[labels["directive"], labels["disposition"], labels["noise_class"] != "none"] += int(value)
    assert +shown == acknowledged(summary)
    values = {(name, *(labels[key] for key in labels if key != "deployment")): value for name, labels, value in read}
    expected = summary.expected
    for bucket, count in msgspec.to_builtins(expected.workspaces).items():
        assert values["collector_deployment_workspaces", bucket] == count
    for app, count in msgspec.to_builtins(expected.sessions).items():
        assert values["collector_deployment_sessions", app] == count
    assert values["collector_deployment_rx_bytes",] == expected.rx_bytes
    assert values["collector_deployment_tx_bytes",] == expected.tx_bytes
    assert values["collector_deployment_connection_latency_seconds", "50"] == pytest.approx(expected.latency_p50_ms / 1000)


def acknowledged(summary: Summary) -> Counter[tuple[str, str, bool]]:
    """The summary's CSP counts, under the words of the service."""
    counts = Counter({(c.effective_directive, c.disposition or "unknown", c.noise): c.acknowledged for c in summary.csp})
    return +counts


@pytest.mark.parametrize(
    ("workspaces", "browsers", "seconds"), [(120, 12, 3), pytest.param(500, 50, 30, marks=pytest.mark.slow)]
)
async def test_everything_agrees_with_the_summary(service: Service, workspaces: int, browsers: int, seconds: int) -> None:
    """All is acknowledged, and snapshot, history, violations and metrics show exactly that."""
    plan = Plan(
        url=service.url,
        browser_key=service.browser_key,
        feed_key=service.feed_key,
        workspaces=workspaces,
        browsers=browsers,
        duration=timedelta(seconds=seconds),
    )

    summary = await run(plan)
    stats = await stats_after(service, summary.finished_at)
    since = timestamp(summary.finished_at - 60_000)
    path = f"/api/v2/deployment/stats/history?from={since}&to={stats['next_update_at']}&step=1h"
    history = await asyncio.to_thread(service.get, path)

    assert summary.wholly_acknowledged, summary
    assert summary.csp_acknowledged == summary.csp_sent > browsers * seconds
    assert summary.finished_at - summary.started_at < (seconds + 5) * 1000
    assert_stats(stats, summary)
    assert_stats([point for point in history["points"] if point["stats"] is not None][-1]["stats"], summary)
    assert_violations(await asyncio.to_thread(all_violations, service), summary)
    assert_metrics(await asyncio.to_thread(samples, service), summary)
