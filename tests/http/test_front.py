"""What routing makes of a path and a method, on the real listener."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.inside import Inside, running
from tests.serve.state import ready
from tests.test_journey import REPORT

BYPASS = "X-Coder-Bypass-Ratelimit"


async def status(inside: Inside, method: str, path: str, **headers: str) -> int:
    async with inside.client.request(method, path, headers=headers) as response:
        return response.status


async def test_slashes_in_a_row_count_as_one(tmp_path: Path) -> None:
    """A path joined with too many slashes is the route it means, by the door and by the router; its query stays as it is."""
    async with running("sqlite", tmp_path) as inside:
        await ready(inside)
        assert await inside.post(
            f"{inside.url}//api//v2/csp///reports?key={inside.secrets.browser_key}", json.dumps(REPORT)
        ) == (200, "ok")
        assert (await inside.get(f"{inside.url}//api/v2//csp/violations?limit=1&project=a//b"))["count"] == 0
        assert (await inside.get(f"{inside.url}//api/v2//csp/violations?limit=1"))["count"] == 1
        assert await status(inside, "GET", f"{inside.url}//healthz") == 200
        assert await status(inside, "GET", "/api/v2/csp/violations//", **inside.owner) == 404


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
async def test_pages_and_probes_answer_head(standing: Inside, path: str) -> None:
    """HEAD is the head of GET: what watches whether a service is up often asks so."""
    await ready(standing)
    async with standing.client.get(path) as whole, standing.client.head(path) as head:
        assert (head.status, await head.read()) == (200, b"")
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        assert head.headers["X-Coder-Request-Id"] != whole.headers["X-Coder-Request-Id"]


async def test_the_api_refuses_head(standing: Inside) -> None:
    """As with the real server it is a method that no route of the API takes."""
    async with standing.client.head("/api/v2/csp/violations", headers=standing.owner) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/v2/deployment/nowhere"), ("POST", "/api/v2/deployment/stats"), ("GET", "/api/v2/users/x/nowhere")],
)
async def test_below_a_guarded_group_only_the_signed_in_learn_that_a_route_is_none(
    standing: Inside, method: str, path: str
) -> None:
    """Whoever is not signed in gets 401 for a wrong path or method there, and 404 or 405 once it is."""
    assert await status(standing, method, path) == 401
    assert await status(standing, method, path, **standing.owner) == (404 if method == "GET" else 405)


async def test_wrong_paths_of_the_api_are_limited(tmp_path: Path) -> None:
    """Whoever tries one path after another is stopped like everybody else; pages outside the API are not its business."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="3") as inside:
        assert [await status(inside, "GET", f"/api/v2/try{n}") for n in range(4)] == [404, 404, 404, 429]
        assert await status(inside, "GET", "/try") == 404


async def test_the_sixth_request_of_a_minute_is_refused(tmp_path: Path) -> None:
    """With a limit of 5 it gets 429 with the documented body and headers; another user, another route and intake do not."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="5") as inside:
        await ready(inside)
        path = "/api/v2/deployment/stats"
        auditor = {"Coder-Session-Token": await inside.token("auditor")}
        assert [await status(inside, "GET", path, **inside.owner) for _ in range(5)] == [200] * 5
        async with inside.client.get(path, headers=inside.owner) as response:
            message = "You've been rate limited for sending more than 5 requests in 1m0s."
            assert (response.status, await response.json()) == (429, {"message": message})
            assert (response.headers["Retry-After"], response.headers["X-RateLimit-Remaining"]) == ("60", "0")
            assert response.headers["X-RateLimit-Limit"] == "5"
            assert int(response.headers["X-RateLimit-Reset"]) % 60 == 0
        assert await status(inside, "GET", path, **auditor) == 200
        assert await status(inside, "GET", "/api/v2/deployment/config", **inside.owner) == 200
        for _ in range(6):
            assert await inside.post(inside.csp_path, json.dumps(REPORT)) == (200, "ok")


async def test_an_owner_may_go_past_the_limit(tmp_path: Path) -> None:
    """With the header an owner is not counted, on public routes too; whoever is not known is counted as ever."""
    async with running("sqlite", tmp_path, CODER_API_RATE_LIMIT="2") as inside:
        headers = {BYPASS: "true", **inside.owner}
        for path in ("/api/v2/csp/violations", "/"):
            assert [await status(inside, "GET", path, **headers) for _ in range(5)] == [200] * 5
            async with inside.client.get(path, headers=headers) as response:
                assert "X-RateLimit-Limit" not in response.headers
        assert [await status(inside, "GET", "/", **{BYPASS: "true"}) for _ in range(3)] == [200, 200, 429]
        assert [await status(inside, "GET", "/api/v2/csp/violations", **{BYPASS: "true"}) for _ in range(3)] == [401, 401, 429]


async def test_who_is_no_owner_may_not_ask_for_it(tmp_path: Path) -> None:
    """An auditor that sends the header is told so with 428, and with any other value of it is served."""
    async with running("sqlite", tmp_path) as inside:
        auditor = {"Coder-Session-Token": await inside.token("auditor")}
        async with inside.client.get("/api/v2/csp/violations", headers={BYPASS: "1", **auditor}) as response:
            message = f'"{BYPASS}" provided but user is not owner'
            assert (response.status, await response.json()) == (428, {"message": message})
        assert await status(inside, "GET", "/api/v2/csp/violations", **{BYPASS: "no"}, **auditor) == 200
