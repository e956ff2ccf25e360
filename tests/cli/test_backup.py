"""`collector backup`: what it notes, beside a running service and without one."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.persist.migrate import downgrade, revisions, upgrade
from collector.wire.clock import wall_clock
from tests.inside import Inside

METRIC = "collector_last_backup_timestamp_seconds"


async def backup(*argv: str) -> int:
    """The command's exit code."""
    return await asyncio.to_thread(main, ["backup", *argv])


@pytest.mark.usefixtures("its_database")
async def test_a_backup_is_noted(inside: Inside, tmp_path: Path) -> None:
    """Before the first there is no time; afterwards it is that of the newest, whatever has made it."""
    assert METRIC not in await inside.counted()
    began = wall_clock() / 1000
    assert await backup("--taken") == 0
    first = (await inside.counted())[METRIC]
    if (tmp_path / "collector.db").exists():
        assert await backup(str(tmp_path / "copy.db")) == 0
        assert (await inside.counted())[METRIC] > first

    assert began <= first <= wall_clock() / 1000


async def test_a_copy_that_cannot_be_noted_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database that awaits a migration is copied before it, and that nothing is noted is said."""
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CODER_PG_CONNECTION_URL", raising=False)
    url = f"sqlite:///{tmp_path / 'collector.db'}"
    await upgrade(url)
    await downgrade(url, revisions()[-2])
    code = await backup(str(tmp_path / "copy.db"))
    said = capsys.readouterr()

    assert (code, said.out.startswith("Copied ")) == (0, True)
    assert "The copy is whole, but the service was not told of it: The database lacks 1 migrations." in said.err
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM meta WHERE key = 'last_backup'").fetchone() == (0,)


async def test_it_is_told_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither nothing nor both: a copy is noted anyway."""
    for argv in ((), ("copy.db", "--taken")):
        with pytest.raises(SystemExit) as refused:
            await backup(*argv)
        assert refused.value.code == 2
    assert "--taken" in capsys.readouterr().err
