"""The page that shows the API."""

from __future__ import annotations

from pathlib import Path

from tests.inside import Inside, running


async def test_it_is_not_there_unless_enabled(inside: Inside) -> None:
    """As any address that nothing stands at."""
    async with inside.client.get("/swagger") as response:
        assert (response.status, await response.json()) == (404, {"message": "Route not found."})


async def test_it_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Its policy allows what comes from the service, no inline script and no frame around it; its files are there."""
    async with running("sqlite", tmp_path, CODER_SWAGGER_ENABLE="true") as inside:
        async with inside.client.get("/swagger") as response:
            policy, text = response.headers["Content-Security-Policy"], await response.text()
        linked = [part.partition('"')[0] for part in text.split('="/static')[1:]]
        for path in linked:
            async with inside.client.get(f"/static{path}") as response:
                assert response.status == 200
                assert await response.read()

    assert len(linked) == 4
    assert "script-src 'self';" in policy
    assert "default-src 'none'; " in policy
    assert "frame-ancestors 'none'" in policy
