"""Commands beside a running service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.inside import Inside


@pytest.fixture
def its_database(inside: Inside, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the database of the running service in the environment, and nothing else."""
    assert inside.url
    for name in [name for name in os.environ if name.startswith(("CODER_", "COLLECTOR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(tmp_path))
    if migrated_url.startswith("postgres"):
        monkeypatch.setenv("CODER_PG_CONNECTION_URL", migrated_url)
