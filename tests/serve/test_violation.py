"""GET /csp/violations/{id}: one violation over time, with its samples, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from collector.http.appkeys import NOW
from tests.inside import Inside

LIST = "/api/v2/csp/violations"
REPORT = {
    "csp-report": {
        "document-uri": "https://shop.example/cart?session=1",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'self'",
        "disposition": "enforce",
        "blocked-uri": "https://cdn.example/lib.js",
        "line-number": 7,
    }
}


async def stored(inside: Inside) -> dict[str, object]:
    """One violation with one report, as the list has it."""
    assert (await inside.post(inside.csp_path, json.dumps(REPORT)))[0] == 200
    found: dict[str, object] = (await inside.get(LIST))["results"][0]
    return found


async def test_one_violation(inside: Inside) -> None:
    """It is the list's own entry, with its sample and a day of five-minute points that hold its one report."""
    listed = await stored(inside)
    answer = await inside.get(f"{LIST}/{listed['id']}")
    # The trend alone is as of the moment of asking: it fades between the two answers.
    assert (listed.pop("trend"), answer["violation"].pop("trend")) == pytest.approx((28.0, 28.0), abs=0.5)

    assert set(answer) == {"violation", "series", "samples", "documents", "browsers", "paths", "policies", "history"}
    assert answer["violation"] == listed
    assert answer["series"]["step_seconds"] == 300
    assert len(answer["series"]["points"]) in (288, 289)
    assert [point["count"] for point in answer["series"]["points"] if point["count"]] == [1]
    (sample,) = answer["samples"]
    assert (sample["document_uri"], sample["line_number"]) == ("https://shop.example/cart", 7)
    assert [(each["value"], each["count"]) for each in answer["documents"]] == [("https://shop.example/cart", 1)]
    assert [(each["value"], each["count"]) for each in answer["paths"]] == [("/lib.js", 1)]
    assert [each["text"] for each in answer["policies"]] == ["default-src 'self'"]
    assert (listed["clients"], listed["days"], answer["history"]) == (1, 1, [])


async def test_the_time_may_be_chosen(inside: Inside) -> None:
    """``since``, ``until`` and ``step`` bound the points; a day of last year holds none of today's reports."""
    listed = await stored(inside)
    now = datetime.fromtimestamp(inside.app[NOW]() // 1000, UTC)
    since, until = (quote((now - timedelta(days=days)).isoformat()) for days in (365, 364))
    series = (await inside.get(f"{LIST}/{listed['id']}?since={since}&until={until}&step=1h"))["series"]

    assert series["step_seconds"] == 3600
    assert len(series["points"]) in (24, 25)
    assert not any(point["count"] for point in series["points"])


async def test_a_parameter_that_cannot_be_used(inside: Inside) -> None:
    """It is a 400 that names the parameter; too many points are the fault of the step."""
    listed = await stored(inside)
    for query, name in (
        ("since=yesterday", "since"),
        ("until=x", "until"),
        ("step=0", "step"),
        ("step=never", "step"),
        ("since=0&step=1m", "step"),
    ):
        async with inside.client.get(f"{LIST}/{listed['id']}?{query}", headers=inside.owner) as response:
            assert response.status == 400, query
            named = [validation["field"] for validation in (await response.json())["validations"]]
        assert named == [name], query


@pytest.mark.parametrize("unknown", ["0" * 32, "x", "%00", "%F0%9F%98%80", "%FF"])
async def test_an_unknown_violation(standing: Inside, unknown: str) -> None:
    """It is a 404, whatever stands where the id should."""
    async with standing.client.get(f"{LIST}/{unknown}", headers=standing.owner) as response:
        assert response.status == 404
