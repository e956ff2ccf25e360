"""Databases with rows in every table, and their way through an archive."""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Float, Integer, LargeBinary, SmallInteger, Table, insert, select

from collector.persist.archive import ArchiveReader
from collector.persist.columns import Id
from collector.persist.engine import Store
from collector.persist.migrate import revisions
from collector.persist.moving import read_archive, tables, write_archive

ROWS = 3
EXTREMES: dict[type, tuple[Any, ...]] = {
    Boolean: (True, False, True),
    Float: (0.1 + 0.2, -1.7976931348623157e308, 5e-324),
    LargeBinary: (bytes(range(256)), b"", b"\0\xff"),
}
TEXTS = ("", "don't \\ \"\n\t\x7f\u2028", "é🦄" * 200)

Contents = dict[str, list[tuple[Any, ...]]]


def fill_every_table(connection: Connection) -> None:
    """Three rows for every table there is: the largest and the smallest that each column takes, and NULL where it may be."""
    made: dict[str, list[dict[str, Any]]] = {}
    for table in tables():
        made[table.name] = [
            {column.name: _value(table, column, number, made) for column in table.columns} for number in range(ROWS)
        ]
        connection.execute(insert(table), made[table.name])


def _value(table: Table, column: Column[Any], number: int, made: dict[str, list[dict[str, Any]]]) -> Any:
    if column.nullable and number == 1:
        return None
    for key in column.foreign_keys:
        return made[key.column.table.name][number][key.column.name]
    for kind, values in EXTREMES.items():
        if isinstance(column.type, kind):
            return (
                b"%d" % number + values[number]
                if (column.primary_key or column.unique) and kind is LargeBinary
                else values[number]
            )
    if isinstance(column.type, Integer):
        return _number(column, number)
    return f"{number}é{table.name}" if not column.nullable else TEXTS[number]


def _number(column: Column[Any], number: int) -> int:
    if column.type is Id:
        return 2**62 + number
    largest = 2**15 if isinstance(column.type, SmallInteger) else 2**31 if type(column.type) is Integer else 2**63
    return (largest - 1, -largest, 0)[number]


def contents(connection: Connection) -> Contents:
    """Every row of every table, in the order of the keys."""
    return {
        table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
        for table in tables()
    }


def exported(connection: Connection) -> bytes:
    """The archive of the database."""
    out = io.BytesIO()
    write_archive(
        connection,
        out,
        revision=revisions()[-1],
        made_at="2026-01-14T10:00:00Z",
        made_by="1.0",
        show=lambda _table, _done: None,
    )
    return out.getvalue()


async def import_into(store: Store, archive: bytes) -> None:
    """Fill ``store`` with ``archive``."""

    def work(connection: Connection) -> None:
        read_archive(connection, ArchiveReader(io.BytesIO(archive)), current=True, show=lambda _table, _done: None)

    await store.transact(work)
