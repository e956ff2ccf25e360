"""What stores each kind of record, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from collector.wire.records import Record

StoreRecords = Callable[[Connection, Sequence[Any]], None]


class Stations:
    """``by_kind`` says for each kind of record what stores some of them within a transaction."""

    def __init__(self, by_kind: Mapping[type, StoreRecords]) -> None:
        self._by_kind = by_kind

    def store(self, connection: Connection, records: Sequence[Record]) -> None:
        """Store ``records``, kind by kind."""
        sorted_out: dict[type, list[Record]] = {}
        for record in records:
            sorted_out.setdefault(type(record), []).append(record)
        # Always in the same order of kinds: two writers that lock two tables crosswise deadlock on PostgreSQL.
        for kind, store in self._by_kind.items():
            if kind in sorted_out:
                store(connection, sorted_out[kind])
