"""Who may serve a data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.__main__ import main
from collector.persist.lockfile import LOCK_FILE, only_one
from collector.wire.errors import Conflict, InvalidOption
from tests.service import run_service, serve_and_fail


@pytest.mark.slow
def test_one_service_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second service on the same SQLite file is one line that names the first; once that has died the next may start."""
    with run_service(tmp_path) as service:
        monkeypatch.setenv("COLLECTOR_DATA_DIR", str(service.data))
        ended = serve_and_fail(service.data)

        assert ended.returncode == 1
        assert ended.stderr.splitlines() == [
            f"collector: {service.data} is served by process {service.process.pid} already: one SQLite file has one service."
        ]
        assert main(["user", "create", "ann", "--role", "member"]) == 0  # beside it
        service.kill()
        service.start()


def test_the_lock_is_let_go(tmp_path: Path) -> None:
    """It is held within the block alone, and whoever comes meanwhile changes nothing."""
    with only_one(tmp_path):
        before = (tmp_path / LOCK_FILE).read_text()
        with pytest.raises(Conflict), only_one(tmp_path):
            pass
        assert (tmp_path / LOCK_FILE).read_text() == before
        with pytest.raises(Conflict), only_one(tmp_path):
            pass
    with only_one(tmp_path):
        pass


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """The option is named, in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidOption, match=r"^COLLECTOR_DATA_DIR: cannot write "), only_one(tmp_path / "file" / "data"):
        pass
