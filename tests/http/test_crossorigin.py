"""What pages of other sites may read, on the real listener."""

from __future__ import annotations

from pathlib import Path

import pytest
from multidict import CIMultiDictProxy

from tests.inside import Inside, running

ORIGIN = {"Origin": "https://other.example"}


async def asked(inside: Inside, path: str, method: str, **headers: str) -> tuple[int, CIMultiDictProxy[str], bytes]:
    """A preflight for ``method``."""
    request = {"Access-Control-Request-Method": method, **ORIGIN, **headers}
    async with inside.client.options(path, headers=request) as response:
        return response.status, response.headers, await response.read()


def allowed(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """The headers that allow something."""
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize("path", ["/api/v2/deployment/stats", "/healthz", "/nowhere"])
async def test_a_preflight_allows_nothing(standing: Inside, path: str) -> None:
    """It is an empty 200 on every path, with three names in Vary and not one that allows anything."""
    status, headers, body = await asked(standing, path, "GET")
    assert (status, body, allowed(headers)) == (200, b"", {})
    assert headers.getall("Vary") == ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"]
    assert headers["X-Content-Type-Options"] == "nosniff"

    async with standing.client.get(path, headers=ORIGIN) as response:
        assert allowed(response.headers) == {}
        assert "Origin" in response.headers.getall("Vary")


async def test_other_sites_may_read_when_all_are_allowed(tmp_path: Path) -> None:
    """Then GET is allowed to everybody with the few headers of the list; the session token is not among them."""
    async with running("sqlite", tmp_path, CODER_DANGEROUS_ALLOW_CORS_REQUESTS="true") as inside:
        path = "/api/v2/deployment/stats"
        _, headers, _ = await asked(inside, path, "GET", **{"Access-Control-Request-Headers": "accept, X-CSRF-TOKEN"})
        assert allowed(headers) == {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "accept, X-CSRF-TOKEN",
        }
        for method, wanted in (("POST", "accept"), ("DELETE", ""), ("GET", "Coder-Session-Token")):
            status, headers, _ = await asked(inside, path, method, **{"Access-Control-Request-Headers": wanted})
            assert (status, allowed(headers)) == (200, {})

        async with inside.client.get(path, headers=ORIGIN) as response:
            assert (response.status, allowed(response.headers)) == (401, {"Access-Control-Allow-Origin": "*"})
        async with inside.client.post("/signout", headers=ORIGIN) as response:
            assert allowed(response.headers) == {}


async def test_csp_intake_answers_its_own_preflights(standing: Inside) -> None:
    """Both paths, however many slashes they are written with, allow what browsers need to deliver reports."""
    for path in ("/csp/reports", "/api/v2/csp/reports", f"{standing.url}//csp//reports"):
        _, headers, _ = await asked(standing, path, "POST")
        assert headers["Access-Control-Allow-Methods"] == "POST, OPTIONS"


async def test_options_that_ask_for_nothing_are_no_preflight(tmp_path: Path) -> None:
    """Without the question it is a method that the route does not take."""
    async with running("sqlite", tmp_path) as inside, inside.client.options("/healthz", headers=ORIGIN) as response:
        assert (response.status, await response.json()) == (405, {"message": "Method not allowed."})
