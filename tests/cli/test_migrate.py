"""``collector migrate --to``: back to what an older version can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.__main__ import main
from collector.persist.lockfile import only_one
from collector.persist.migrate import revisions


@pytest.mark.usefixtures("empty_data")
def test_back_and_forth(capsys: pytest.CaptureFixture[str]) -> None:
    """--list names the migrations, --to goes back to one of them and forth again; one that is not there changes nothing."""
    assert main(["migrate", "--list"]) == 0
    *_, before, last = listed = capsys.readouterr().out.split()
    assert listed == revisions()
    assert main(["migrate"]) == 0

    assert main(["migrate", "--to", before]) == 0
    assert main(["migrate", "--check"]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [f"At {before}.", f"Missing: {last}"]
    assert main(["migrate", "--to", "x"]) == 2
    assert main(["migrate", "--to", last]) == 0
    assert main(["migrate", "--check"]) == 0


def test_not_below_a_running_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables are not taken away from under a service: the data directory has to be free."""
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(tmp_path))
    assert main(["migrate"]) == 0
    with only_one(tmp_path):
        assert main(["migrate", "--to", revisions()[0]]) == 1
    assert "is served by process" in capsys.readouterr().err
    assert main(["migrate", "--check"]) == 0
