"""Two processes open a new SQLite file at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector.persist.wal import PAUSE_S, use_wal


@pytest.fixture
def held(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else, in the middle of a transaction on a new file."""
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.fixture
def own(tmp_path: Path, held: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Ours, whose busy timeout does not help."""
    assert held.in_transaction
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None, timeout=60)) as connection:
        yield connection


def mode(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_it_waits_for_the_other_one(held: sqlite3.Connection, own: sqlite3.Connection) -> None:
    """While the other one works the file is locked; afterwards the switch is made."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            held.execute("COMMIT")

    use_wal(own, wait_s=5, pause=pause)

    assert pauses == [PAUSE_S] * 3
    assert mode(own) == "wal"


def test_it_does_not_wait_for_ever(own: sqlite3.Connection) -> None:
    """When its time is over it says what SQLite said."""
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_wal(own, wait_s=5, pause=pause, clock=lambda: now[0])

    assert 5 <= now[0] < 6


def test_what_will_not_pass_is_not_waited_for(tmp_path: Path) -> None:
    """That the file may not be written to is no matter of time."""

    def pause(_: float) -> None:
        pytest.fail("it waits")

    with closing(sqlite3.connect(tmp_path / "new.db")) as made:
        made.execute("CREATE TABLE made (x)")
    reader = sqlite3.connect(f"file:{tmp_path}/new.db?mode=ro", uri=True)
    with closing(reader), pytest.raises(sqlite3.OperationalError, match="readonly"):
        use_wal(reader, wait_s=5, pause=pause)
