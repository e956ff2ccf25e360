"""Which messages of a stream are in the database: one row a message, written with what the message brought.

Never the highest number seen: a message that is delivered again comes after those behind it. Rows go once the stream's consumer
has acknowledged everything up to them; ``floor`` then stands for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, select, update

from collector.persist.engine import insert
from collector.persist.submission import Submission
from collector.persist.tables import applied_messages, message_streams
from collector.wire.records import Record

_stream, _applied = message_streams.c, applied_messages.c
_WHICH = select(_stream.id, _stream.floor).where(
    _stream.name == bindparam("name"), _stream.created_at == bindparam("created_at")
)


class AppliedMessages:
    """The messages of one stream. ``name`` and ``created_at`` (ms) say which: in one made anew they begin at 1 again."""

    def __init__(self, name: str, created_at: int) -> None:
        self._stream = {"name": name, "created_at": created_at}

    def fresh(self, connection: Connection, numbers: Sequence[int]) -> set[int]:
        """Note ``numbers`` as applied in the caller's transaction; those of them that were not noted before.

        Whoever notes the same one in a transaction of his own is waited for.
        """
        stream, floor = self._made(connection)
        rows = [{"stream": stream, "number": number} for number in sorted(set(numbers)) if number > floor]
        if not rows:
            return set()
        new = insert(connection.dialect.name, applied_messages).on_conflict_do_nothing().returning(_applied.number)
        return set(connection.scalars(new, rows))

    def floor(self, connection: Connection) -> int:
        """Up to here everything is applied and no longer noted; 0 when nothing is."""
        return self._known(connection)[1]

    def state(self, connection: Connection, begin: int, until: int) -> tuple[int, bool]:
        """The floor, and whether one of the messages from ``begin`` to ``until`` is not applied.

        When all of them are acknowledged, the database is older than that.
        """
        stream, floor = self._known(connection)
        below = max(floor, begin - 1)
        noted = select(func.count()).where(_applied.stream == stream, _applied.number > below, _applied.number <= until)
        return floor, until - below > (connection.scalar(noted) or 0)

    def prune(self, connection: Connection, until: int) -> None:
        """Let ``floor`` stand for everything up to ``until``, all of which were acknowledged and are applied."""
        stream, _ = self._made(connection)
        connection.execute(update(message_streams).where(_stream.id == stream, _stream.floor < until).values(floor=until))
        connection.execute(delete(applied_messages).where(_applied.stream == stream, _applied.number <= until))

    def _known(self, connection: Connection) -> tuple[int, int]:
        """Its id and floor; (0, 0) when nothing of it is noted. Asked for each time: what made the row may be rolled back."""
        found = connection.execute(_WHICH, self._stream).one_or_none()
        return (0, 0) if found is None else (found.id, found.floor)

    def _made(self, connection: Connection) -> tuple[int, int]:
        known = self._known(connection)
        if known == (0, 0):
            row = {**self._stream, "floor": 0}
            connection.execute(insert(connection.dialect.name, message_streams).on_conflict_do_nothing(), row)
            known = self._known(connection)
        return known


def unapplied(connection: Connection, applied: AppliedMessages | None, batch: Sequence[Submission]) -> list[Sequence[Record]]:
    """The records of each submission, but of a message only when it is not applied; in this transaction it then is."""
    numbers = [submission.message for submission in batch if submission.message is not None]
    if not numbers or applied is None:
        return [submission.records for submission in batch]
    fresh, found = applied.fresh(connection, numbers), list[Sequence[Record]]()
    for submission in batch:
        is_new = submission.message is None or submission.message in fresh
        found.append(submission.records if is_new else ())
        fresh.discard(submission.message or 0)  # numbers begin at 1; delivered twice, it may be twice in a batch
    return found
