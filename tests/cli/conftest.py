"""Commands beside a running service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.inside import Inside
from tests.postgres import PostgresServer


@pytest.fixture
def its_database(inside: Inside, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the database of the running service in the environment, and nothing else."""
    assert inside.url
    for name in [name for name in os.environ if name.startswith(("CODER_", "COLLECTOR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(tmp_path))
    if migrated_url.startswith("postgres"):
        monkeypatch.setenv("CODER_PG_CONNECTION_URL", migrated_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and a database that nobody has migrated; commands find both in the environment."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(data))
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        monkeypatch.setenv("CODER_PG_CONNECTION_URL", server.fresh_url())
    return data
