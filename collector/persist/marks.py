"""The marks by which a writer knows, after a broken COMMIT, whether its batch is stored.

Only where COMMIT goes over a connection that can break: when SQLite's fails, the transaction was not committed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import writer_marks

T = TypeVar("T")


def _marking(dialect: str) -> Any:
    new = insert(dialect, writer_marks)
    return new.on_conflict_do_update(
        index_elements=["writer"],
        set_={"batch": new.excluded.batch, "at": new.excluded.at},
        where=writer_marks.c.batch < new.excluded.batch,
    )


def _probing(dialect: str) -> Any:
    new = insert(dialect, writer_marks)
    return new.on_conflict_do_update(index_elements=["writer"], set_={"at": new.excluded.at})


_MARK = Statement(_marking)
_PROBE = Statement(_probing)


class Marker:
    """One writing process: a random name, under which it notes the number of the batch that it stores."""

    def __init__(self) -> None:
        self._writer = uuid.uuid4().hex

    def mark(self, connection: Connection, batch: int) -> bool:
        """Note ``batch`` in the transaction that stores it; False when it, or a later one, is noted already.

        That is so when the connection broke after COMMIT was sent: the batch is stored, only its answer was lost, and
        storing it again would count it twice. Numbers rise from 1. True on SQLite.
        """
        if connection.dialect.name == "sqlite":
            return True
        row = {"writer": self._writer, "batch": batch, "at": time.time_ns() // 1_000_000}
        return _MARK.execute(connection, row) > 0

    def probe(self, connection: Connection) -> None:
        """Write something small, to see whether the store takes it; what is noted stays noted."""
        row = {"writer": self._writer, "batch": 0, "at": time.time_ns() // 1_000_000}
        _PROBE.execute(connection, row)

    def proving(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        """``work`` with a probe before it: what changes nothing commits on a full disk as well, and proves nothing."""

        def both(connection: Connection) -> T:
            self.probe(connection)
            return work(connection)

        return both

    def is_marked(self, connection: Connection, batch: int) -> bool:
        """Whether ``batch``, or a later one, is noted."""
        noted = connection.scalar(select(writer_marks.c.batch).where(writer_marks.c.writer == self._writer))
        return noted is not None and noted >= batch
