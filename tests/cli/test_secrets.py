"""Where the first start's secrets go when there is no terminal."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector.cli import firststart
from collector.persist import accounts, meta
from collector.persist.engine import Store
from collector.wire.errors import InvalidOption
from tests.postgres import PostgresServer
from tests.service import SECRETS, run_service, serve_and_fail

GIVEN = "a1b2c3d4e5-" + "k" * 22


@pytest.mark.slow
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever laid a link in the secrets' place does not get them: the link goes, its target stays, nothing is lost."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("before")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SECRETS).symlink_to(elsewhere)

    with run_service(tmp_path) as service:
        assert not (service.data / SECRETS).is_symlink()
        assert service.get("/api/v2/csp/violations")["count"] == 0
    assert elsewhere.read_text() == "before"


@pytest.mark.slow
def test_secrets_that_cannot_be_written_are_not_made(tmp_path: Path) -> None:
    """A first start whose file cannot be written is one line and exit code 2, and the next start is the first."""
    data = tmp_path / "data"
    (data / SECRETS).mkdir(parents=True)

    ended = serve_and_fail(data)

    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"collector: COLLECTOR_DATA_DIR: cannot write {data / SECRETS}: Is a directory",
    ]
    assert [path for path in data.iterdir() if SECRETS in path.name] == [data / SECRETS]
    (data / SECRETS).rmdir()
    with run_service(tmp_path) as service:  # which reads the secrets of this start
        assert service.get("/api/v2/csp/violations")["count"] == 0


@pytest.mark.slow
def test_a_database_elsewhere_needs_the_directory_too(tmp_path: Path, postgres: PostgresServer) -> None:
    """With PostgreSQL the directory is for the secrets alone; when there can be none, that is one line and no traceback."""
    (tmp_path / "file").touch()

    ended = serve_and_fail(tmp_path / "file" / "data", CODER_PG_CONNECTION_URL=postgres.fresh_url())

    assert ended.returncode == 2
    assert [line.partition(": cannot write ")[0] for line in ended.stderr.splitlines()] == ["collector: COLLECTOR_DATA_DIR"]


async def test_what_keeping_raises_undoes_the_first_start(store: Store) -> None:
    """The secrets are put away before they are committed, or not made at all."""

    def full(_: meta.FirstSecrets) -> None:
        raise InvalidOption("COLLECTOR_DATA_DIR: cannot write it")

    kept: list[Any] = []
    start = partial(meta.first_start, now=0, admin_token=lambda: None)
    with pytest.raises(InvalidOption):
        await store.transact(partial(start, keep=full))
    assert await store.read(accounts.list_users) == []
    assert await store.transact(partial(start, keep=kept.append)) == kept[0]


def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    """One that was there with other rights is replaced, and nothing is left beside it."""
    (tmp_path / SECRETS).touch(mode=0o666)

    firststart.keep(tmp_path, meta.FirstSecrets(token=GIVEN, browser_key="b", feed_key="f"))

    assert list(tmp_path.iterdir()) == [tmp_path / SECRETS]
    assert (tmp_path / SECRETS).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / SECRETS).read_text()) == {"admin_token": GIVEN, "browser_key": "b", "feed_key": "f"}


@pytest.mark.slow
def test_a_token_that_was_given_is_not_given_out(tmp_path: Path) -> None:
    """Whoever put it into COLLECTOR_ADMIN_TOKEN_FILE has it: no second copy is written or printed."""
    (tmp_path / "token").write_text(GIVEN)
    with run_service(tmp_path, COLLECTOR_ADMIN_TOKEN_FILE=str(tmp_path / "token")) as service:
        assert sorted(json.loads((service.data / SECRETS).read_text())) == ["browser_key", "feed_key"]
        assert "Admin token: from COLLECTOR_ADMIN_TOKEN_FILE" in service.log
        assert GIVEN not in service.log
    shown = firststart.shown(meta.FirstSecrets(token="", browser_key="b", feed_key="f"))
    assert "  Admin token   from COLLECTOR_ADMIN_TOKEN_FILE" in shown.splitlines()
