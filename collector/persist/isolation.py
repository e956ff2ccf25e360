"""Finding the record that a store refuses, and storing everything around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from collector.persist.engine import storage_failed
from collector.wire.records import Record, Refusal

Apply = Callable[[Connection, Sequence[Record]], None]


def isolated(connection: Connection, batch: Sequence[Sequence[Record]], apply: Apply) -> dict[int, tuple[Refusal, ...]]:
    """Store ``batch`` submission by submission, and a faulty one record by record; the refusals by position in the batch.

    Raises:
        Exception: what the store raised when it is not the record's fault; nothing of the batch is then to be committed.
    """
    refused: dict[int, tuple[Refusal, ...]] = {}
    for position, records in enumerate(batch):
        if _refusal(connection, records, apply) is None:
            continue
        errors = [_refusal(connection, [record], apply) for record in records]
        refused[position] = tuple(Refusal(index, error) for index, error in enumerate(errors) if error is not None)
    return refused


def _refusal(connection: Connection, records: Sequence[Record], apply: Apply) -> str | None:
    """Store ``records`` behind a savepoint; the reason in words when the store would not take them."""
    try:
        with connection.begin_nested():
            apply(connection, records)
    except Exception as error:
        if storage_failed(error):
            raise
        return words(error)
    return None


def words(error: Exception) -> str:
    """The database's own words, on one line, without the statement and its parameters."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())[:300] or type(error).__name__
