"""Reading while the store fails."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from collector.http.appkeys import STORE
from tests.inside import Inside
from tests.serve.state import ready, rename


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ("violations", "/api/v2/csp/violations"),
        ("violations", "/api/v2/csp/violations/1"),
        ("projects", "/api/v2/projects"),
        ("ingest_keys", "/api/v2/projects"),
    ],
)
async def test_what_cannot_be_read_now_can_be_asked_for_later(inside: Inside, table: str, path: str) -> None:
    """A store that cannot be read is a 503 that says when to try again, with the reason in the log alone."""
    await ready(inside)
    await rename(inside.app[STORE], table, "away")
    with capture_logs() as logged:
        response = await inside.client.get(path, headers=inside.owner)
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert await response.json() == {"message": "The store cannot be reached at the moment. Try again later."}
    await rename(inside.app[STORE], "away", table)
    assert "request failed" in [line["event"] for line in logged]
    async with inside.client.get(path, headers=inside.owner) as response:
        assert response.status in (200, 404)
