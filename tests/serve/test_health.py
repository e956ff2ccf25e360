"""/healthz and /readyz, and what every answer of the service has in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.http.appkeys import STORE
from tests.inside import Inside, running
from tests.serve.state import checks, ready, rename, without_snapshots
from tests.test_journey import REPORT


async def test_healthz_is_ok(standing: Inside) -> None:
    """Anybody is told "OK" as plain text."""
    async with standing.client.get("/healthz") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        assert (await response.text()).strip() == "OK"


async def test_ready_names_its_checks(inside: Inside) -> None:
    """When all is well /readyz is 200, and each check has a name and words."""
    await ready(inside)
    status, found = await checks(inside)
    assert status == 200
    assert set(found) == {"store", "queue", "space", "leader", "rollup", "database"}
    assert all(ok and detail for ok, detail in found.values())


async def test_a_failing_store_is_named(migrated_url: str, tmp_path: Path) -> None:
    """While commits fail /readyz is 503 for the check "store", intake is 503, and both recover by themselves."""
    async with running(migrated_url, tmp_path, COLLECTOR_SUBMIT_TIMEOUT="50ms") as inside:
        await ready(inside)
        await rename(inside.app[STORE], "violations", "away")
        await rename(inside.app[STORE], "writer_marks", "marks_away")  # what the writer would see by itself that it is back
        async with inside.client.post(inside.csp_path, data=json.dumps(REPORT)) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
        status, found = await checks(inside)
        assert status == 503
        assert [name for name, (ok, _) in found.items() if not ok] == ["store"]
        assert (await inside.client.get("/healthz")).status == 200

        await rename(inside.app[STORE], "marks_away", "writer_marks")
        await rename(inside.app[STORE], "away", "violations")
        assert await inside.post(inside.csp_path, json.dumps(REPORT)) == (200, "ok")
        assert (await checks(inside))[0] == 200


@pytest.mark.slow
async def test_a_failing_rollup_is_named(migrated_url: str, tmp_path: Path) -> None:
    """Without a first snapshot the check "rollup" fails, the check "store" does not."""
    async with without_snapshots(migrated_url, tmp_path) as inside:
        status, found = await checks(inside)
        assert status == 503
        assert [name for name, (ok, _) in found.items() if not ok] == ["rollup"]


@pytest.mark.parametrize("path", ["/nowhere", "/api/v2/nowhere?key=x", "/api/v2/csp", "/deployment/stats/"])
async def test_unknown_routes_are_json(standing: Inside, path: str) -> None:
    """A path that is not ours is 404 with the body that every error has."""
    async with standing.client.get(path) as response:
        assert response.status == 404
        assert await response.json() == {"message": "Route not found."}
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("method", "path"), [("PUT", "/healthz"), ("DELETE", "/deployment/stats"), ("GET", "/csp/reports")])
async def test_other_methods_are_json(standing: Inside, method: str, path: str) -> None:
    """A method that the path does not take is 405 in the same form, with those that it takes."""
    async with standing.client.request(method, path) as response:
        assert response.status == 405
        assert await response.json() == {"message": "Method not allowed."}
        assert response.headers["Allow"]


async def test_probes_are_not_limited(tmp_path: Path) -> None:
    """With a limit of two a minute, probes go on for ever and nothing else does; every limited answer says how much is left."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="2") as inside:
        await ready(inside)
        for path in ("/healthz", "/readyz"):
            answers = [await inside.client.get(path) for _ in range(5)]
            assert [answer.status for answer in answers] == [200] * 5
            assert "X-RateLimit-Limit" not in answers[0].headers

        answers = [await inside.client.get("/deployment/stats", headers=inside.owner) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"2"}
        assert all(int(answer.headers["X-RateLimit-Reset"]) > 1_700_000_000 for answer in answers)
        assert int(answers[-1].headers["Retry-After"]) >= 1
