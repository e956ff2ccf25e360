"""``collector agent`` and ``collector key create --deployment``."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from collector.__main__ import main

ASKED = ["--workspace", "billing", "--user", "grace", "--template", "docker", "--name", "main", "--quiet"]


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    """The flags that name a migrated database."""
    assert main(["migrate", "--data-dir", str(tmp_path)]) == 0
    return ["--data-dir", str(tmp_path)]


def column(directory: str, query: str) -> list[object]:
    """The first column of a query on the database."""
    with closing(sqlite3.connect(f"{directory}/collector.db")) as connection:
        return [row[0] for row in connection.execute(query)]


def test_an_agent_is_made_and_revoked(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The token is an UUID that only the output has; revoking the agent ends it, and again says that there is none."""
    capsys.readouterr()
    assert main(["agent", "create", *ASKED, *where]) == 0
    token = capsys.readouterr().out.strip()
    [agent] = column(where[1], "SELECT agent_id FROM agent_tokens")

    assert str(uuid.UUID(token)) == token
    assert column(where[1], "SELECT workspace_name FROM agent_tokens") == ["billing"]
    assert token.encode() not in Path(where[1], "collector.db").read_bytes()
    assert main(["agent", "revoke", str(agent), *where]) == 0
    assert main(["agent", "revoke", str(agent), *where]) == 1
    assert column(where[1], "SELECT agent_id FROM agent_tokens") == []


def test_a_name_must_be_one(where: list[str]) -> None:
    """A name with a control character makes no agent."""
    asked = ["--workspace", "a\nb", *ASKED[2:]]

    assert main(["agent", "create", *asked, *where]) == 2
    assert column(where[1], "SELECT agent_id FROM agent_tokens") == []


def test_a_feed_key_is_bound(where: list[str]) -> None:
    """A feed key is bound to the deployment that it is made for, and a browser key cannot be."""
    create = ["key", "create", "--project", "coder", "--deployment", "d-2", *where]

    assert main([*create, "--kind", "feed"]) == 0
    assert main([*create, "--kind", "browser"]) == 2
    assert column(where[1], "SELECT deployment FROM ingest_keys") == ["d-2"]
