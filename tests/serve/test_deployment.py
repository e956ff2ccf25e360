"""/deployment/stats and its history: what they say before there is a snapshot, and of parameters they cannot use."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from yarl import URL

from tests.inside import Inside
from tests.serve.state import ready, without_snapshots

HISTORY = "/api/v2/deployment/stats/history"


@pytest.mark.slow
async def test_before_the_first_snapshot(migrated_url: str, tmp_path: Path) -> None:
    """Until there is a snapshot the stats are 400 with the words of Coder, and the history is all gaps."""
    async with without_snapshots(migrated_url, tmp_path) as inside:
        for path in ("/deployment/stats", "/api/v2/deployment/stats"):
            async with inside.client.get(path, headers=inside.owner) as response:
                assert response.status == 400
                assert await response.json() == {"message": "Deployment stats are still processing!"}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("from=yesterday", "from"),
        ("to=2026-13-01T00:00:00Z", "to"),
        ("from=-5", "from"),
        ("from=9999999999999999", "from"),
        ("step=0", "step"),
        ("step=fast", "step"),
        ("step=-60", "step"),
        ("step=400d", "step"),
        ("from=2026-01-14T00:00:00Z&to=2026-01-13T00:00:00Z", "from"),
        ("from=2026-01-13T00:00:00Z&to=2026-01-13T00:00:00Z", "from"),
        ("from=2026-01-01T00:00:00Z&to=2026-12-01T00:00:00Z&step=1s", "step"),
        ("from=0&to=99999999999", "step"),
        ("from=0001-01-01T00:00:00Z", "from"),
        ("to=9999-12-31T23:59:59-23:59", "to"),
    ],
)
async def test_bad_parameters_are_named(standing: Inside, query: str, name: str) -> None:
    """A value that cannot be used is 400, and the answer names the parameter."""
    async with standing.client.get(f"{HISTORY}?{query}", headers=standing.owner) as response:
        answer = await response.json()
    assert response.status == 400
    assert answer["message"]
    assert {validation["field"] for validation in answer["validations"]} <= {name, "from"}


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-01-13T00:00:00Z", "2026-01-13T02:00:00Z"),
        ("2026-01-13T00:00:00", "2026-01-13T02:00:00"),
        ("2026-01-13T01:00:00%2B01:00", "2026-01-13T03:00:00%2B01:00"),
        ("2026-01-13T01:00:00+01:00", "2026-01-13T03:00:00+01:00"),
        ("2026-01-13 00:00:00Z", "2026-01-13 02:00:00Z"),
        ("1768262400", "1768269600.0"),
    ],
    ids=["utc", "without offset", "offset", "offset with its plus as it is", "blank for T", "seconds"],
)
async def test_times(standing: Inside, since: str, until: str) -> None:
    """RFC 3339 and seconds since the epoch name the same moments; a step without a snapshot is null, not zero."""
    url = f"{standing.url}{HISTORY}?from={since}&to={until}&step=1h".replace(" ", "%20")
    async with standing.client.get(_as_it_is(url), headers=standing.owner) as response:
        answer = await response.json()
    assert response.status == 200, answer
    assert answer["step_seconds"] == 3600
    assert [(point["at"], point["source"], point["stats"]) for point in answer["points"]] == [
        ("2026-01-13T00:00:00Z", None, None),
        ("2026-01-13T01:00:00Z", None, None),
    ]


async def test_history_holds_the_snapshot(inside: Inside) -> None:
    """The newest snapshot is a point of the history, with its source and the kind of every field."""
    await ready(inside)
    stats = await inside.get("/deployment/stats")
    answer = await inside.get(HISTORY)

    points = [point for point in answer["points"] if point["stats"] is not None]
    assert points[-1]["source"] == "reports"
    assert points[-1]["stats"]["workspaces"] == stats["workspaces"]
    assert set(answer["fields"].values()) == {"gauge", "window_sum", "percentile"}


def _as_it_is(url: str) -> URL:
    return URL(url, encoded=True)


async def test_flat_rows_and_csv_say_the_same(inside: Inside) -> None:
    """One row a point with times in milliseconds; null in JSON is empty in CSV."""
    await ready(inside)
    flat = await inside.get(f"{HISTORY}?format=rows&step=1h")
    async with inside.client.get(f"{HISTORY}?format=csv&step=1h", headers=inside.owner) as response:
        assert response.content_type == "text/csv"
        lines = list(csv.DictReader((await response.text()).splitlines()))

    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in flat] == lines
    assert [row["time"] % 3_600_000 for row in flat] == [0] * len(flat)
    assert {row["source"] for row in flat} == {"reports", None}
    last = flat[-1] if flat[-1]["samples"] else flat[-2]
    assert last["workspaces_running"] == last["workspaces_running_max"] == last["workspaces_running_avg"] == 0
    assert last["workspaces_connection_latency_ms_p50"] is None


async def test_an_unknown_format_is_refused(standing: Inside) -> None:
    """By name, with those there are."""
    async with standing.client.get(f"{HISTORY}?format=xml", headers=standing.owner) as response:
        assert response.status == 400
        (validation,) = (await response.json())["validations"]
    assert validation == {"field": "format", "detail": "format must be one of json, rows, csv"}
