"""Several deployments in one collector: the stand-in of a Coder server that is polled, telemetry of another, and its own."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp.test_utils import TestServer

from collector.http.appkeys import DEPLOYMENT as OWN
from tests import messages
from tests.inside import Inside, running
from tests.outbound.coder import DEPLOYMENT, INTERVAL_MS, TOKEN, Clock, Coder, workspace
from tests.serve.state import ready

NOW = 1_768_385_100_000  # 2026-01-14T10:05:00Z
STATS = "/api/v2/deployment/stats"
WORKSPACES = "/api/v2/deployment/workspaces"
HISTORY = f"{STATS}/history?from=2026-01-14T09:00:00Z&to=2026-01-14T11:00:00Z&step=1h&deployment="


class Two(NamedTuple):
    """A collector that polls ``coder`` on the clock that both have."""

    inside: Inside
    coder: Coder
    clock: Clock

    async def refreshed(self) -> None:
        """Build the snapshots now."""
        await self.inside.roll_up()

    async def source(self, deployment: str) -> str:
        """What the stats of ``deployment`` are made from."""
        async with self.inside.client.get(f"{STATS}?deployment={deployment}", headers=self.inside.owner) as answer:
            assert answer.status == 200
            return answer.headers["X-Collector-Source"]

    async def telemetry(self, deployment: str) -> None:
        """A full snapshot of ``deployment`` as a Coder server posts it."""
        body = messages.full_snapshot().replace(messages.DEPLOYMENT.encode(), deployment.encode())
        headers = messages.headers(self.inside.secrets.feed_key)
        async with self.inside.client.post("/snapshot", data=body, headers=headers) as answer:
            assert answer.status == 202


async def polling(database_url: str, tmp_path: Path, **options: str) -> AsyncIterator[Two]:
    """A collector that has polled once."""
    clock = Clock(NOW)
    coder = Coder(clock, began=NOW - 1_000, workspaces=[workspace(number) for number in range(3)])
    (tmp_path / "token").write_text(TOKEN)
    async with TestServer(coder.routes()) as server:
        asked = {"URL": str(server.make_url("/")), "TOKEN_FILE": str(tmp_path / "token")}
        env = {f"COLLECTOR_UPSTREAM_0_{name}": value for name, value in asked.items()}
        async with running(database_url, tmp_path, clock, **env, **options) as inside:
            await ready(inside)
            two = Two(inside, coder, clock)
            await two.refreshed()
            yield two


async def workspaces_of(inside: Inside) -> list[Any]:
    """The groups of the polled deployment."""
    answer = await inside.get(f"{WORKSPACES}?deployment={DEPLOYMENT}")
    points: list[Any] = answer["points"]
    return points


@pytest.fixture
async def two(migrated_url: str, tmp_path: Path) -> AsyncIterator[Two]:
    """With each deployment's source to be found out."""
    async for made in polling(migrated_url, tmp_path):
        yield made


async def test_every_answer_is_of_the_deployment_that_is_named(two: Two) -> None:
    """Stats, history, rows, CSV and workspaces are of one deployment; one that nothing is known of is 404."""
    await two.telemetry(messages.DEPLOYMENT)
    await two.refreshed()
    get = two.inside.get

    assert [await two.source(name) for name in (DEPLOYMENT, messages.DEPLOYMENT)] == ["upstream", "telemetry"]
    for name, running_ in ((DEPLOYMENT, 3), (messages.DEPLOYMENT, messages.COUNTS["running"])):
        assert (await get(f"{STATS}?deployment={name}"))["workspaces"]["running"] == running_
        points = [point for point in (await get(HISTORY + name))["points"] if point["stats"]]
        rows = [row for row in await get(f"{HISTORY}{name}&format=rows") if row["samples"]]
        async with two.inside.client.get(f"{HISTORY}{name}&format=csv", headers=two.inside.owner) as answer:
            lines = [line for line in csv.DictReader((await answer.text()).splitlines()) if line["samples"] != "0"]
        assert [point["stats"]["workspaces"]["running"] for point in points] == [running_]
        assert [row["workspaces_running"] for row in rows] == [running_]
        assert [line["workspaces_running"] for line in lines] == [str(running_)]
        assert points[0]["source"] == rows[0]["source"] == lines[0]["source"] == await two.source(name)
    (group,) = await workspaces_of(two.inside)
    assert (group["template"], group["running"], group["prebuilt"]) == ("docker", 3, False)
    for path in (
        f"{STATS}?deployment=x",
        f"{HISTORY}x",
        f"{HISTORY}x&format=csv",
        "/api/v2/deployment/workspaces?deployment=x",
        "/api/v2/aibridge/usage?deployment=x",
        f"{STATS}?deployment=%00",
        "/api/v2/aibridge/usage?deployment=%00",
    ):
        async with two.inside.client.get(path, headers=two.inside.owner) as answer:
            assert answer.status == 404, path


async def test_metrics_tell_deployments_apart(two: Two) -> None:
    """Workspaces, sessions, latency and traffic are those of each deployment, under the name that it has in its stats."""
    await two.telemetry(messages.DEPLOYMENT)
    await two.refreshed()
    metrics = await two.inside.metrics()

    for name in (DEPLOYMENT, messages.DEPLOYMENT):
        stats = await two.inside.get(f"{STATS}?deployment={name}")
        own, shown = f'deployment="{name}"', stats["workspaces"]
        assert metrics[f'collector_deployment_workspaces{{{own},status="running"}}'] == shown["running"]
        for app, sessions in stats["session_count"].items():
            assert metrics[f'collector_deployment_sessions{{app="{app}",{own}}}'] == sessions
        assert metrics[f"collector_deployment_rx_bytes{{{own}}}"] == shown["rx_bytes"]
        assert metrics[f"collector_deployment_tx_bytes{{{own}}}"] == shown["tx_bytes"]
        median = metrics[f'collector_deployment_connection_latency_seconds{{{own},percentile="50"}}']
        assert median == shown["connection_latency_ms"]["p50"] / 1000


async def test_the_metrics_name_every_source(two: Two) -> None:
    """When each source last gave something, what each deployment is made from, and the workspaces that were counted."""
    await two.telemetry(DEPLOYMENT)
    await two.refreshed()
    samples = await two.inside.metrics()

    own = two.inside.app[OWN]
    for deployment, source in ((DEPLOYMENT, "upstream"), (DEPLOYMENT, "telemetry"), (own, "reports")):
        name = f'collector_source_last_success_timestamp_seconds{{deployment="{deployment}",source="{source}"}}'
        assert samples[name] == NOW / 1000
    assert samples[f'collector_deployment_info{{approximate="false",deployment="{DEPLOYMENT}",source="upstream"}}'] == 1
    group = f'deployment="{DEPLOYMENT}",organization="coder",prebuilt="false",status="running",template="docker"'
    assert samples[f"collector_deployment_group_workspaces{{{group}}}"] == 3


async def test_auto_goes_on_with_the_next_best(two: Two) -> None:
    """Two intervals after the last poll that worked, telemetry answers, and polling again when the server is back."""
    await two.telemetry(DEPLOYMENT)
    two.coder.stop()
    for later, expected in ((2 * INTERVAL_MS, "upstream"), (1, "telemetry")):
        two.clock.now += later
        await two.refreshed()
        assert await two.source(DEPLOYMENT) == expected

    two.coder.start()
    two.clock.now += INTERVAL_MS
    async with asyncio.timeout(60):
        while await two.source(DEPLOYMENT) != "upstream":
            await two.refreshed()


@pytest.mark.parametrize("by", ["COLLECTOR_UPSTREAM_0_SOURCE", "COLLECTOR_DEPLOYMENT_SOURCES"])
async def test_a_source_that_is_said_is_shown(migrated_url: str, tmp_path: Path, by: str) -> None:
    """Stats and history are made from the source that the operator names, while polling goes on storing its own."""
    value = "telemetry" if by.endswith("SOURCE") else f'{{"{DEPLOYMENT}": "telemetry"}}'
    async for two in polling(migrated_url, tmp_path, **{by: value}):
        await two.telemetry(DEPLOYMENT)
        await two.refreshed()

        assert await two.source(DEPLOYMENT) == "telemetry"
        answer = await two.inside.get(HISTORY + DEPLOYMENT)
        assert [(point["source"], point["samples"]) for point in answer["points"] if point["stats"]] == [("telemetry", 1)]
