"""All rows of the database into an archive, and from an archive into an empty database, of either kind."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, BinaryIO

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.exc import StatementError

# Every file that declares tables: whoever adds one adds it here, or tests/persist/test_moving.py says what is missing.
from collector.persist import aibridge_tables, csp_tables, history_tables, telemetry_tables
from collector.persist.archive import VERSION, ArchiveReader, ArchiveWriter, Head, Row, TableHead, printable
from collector.persist.engine import SCHEMA, storage_failed
from collector.persist.isolation import words
from collector.persist.partitions import is_partition
from collector.persist.tables import metadata
from collector.wire.errors import Conflict, InvalidInput, NotReady

DECLARED_IN = (aibridge_tables, csp_tables, history_tables, telemetry_tables)
OF_ALEMBIC = "alembic_version"
FETCHED_ROWS = 200

Show = Callable[[TableHead, int], None]  # a table, and how many of its rows are done


def tables() -> list[Table]:
    """Every table of this version, each after those that it refers to."""
    return list(metadata.sorted_tables)


def write_archive(connection: Connection, out: BinaryIO, *, revision: str, made_at: str, made_by: str, show: Show) -> Head:
    """Write every row that ``connection``, in a transaction that sees one moment, can see to ``out``.

    Raises:
        NotReady: a number has no place in the file (infinite, or none), which no collector stores.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # counting a large table may take its time
    heads = tuple(
        TableHead(
            str(table.name),  # it may be a subclass of str, which has no place in JSON
            tuple(map(str, table.columns.keys())),
            connection.execute(select(func.count()).select_from(table)).scalar_one(),
        )
        for table in tables()
    )
    head = Head(VERSION, revision, _kind(connection), made_at, made_by, heads)
    archive = ArchiveWriter(out, head)
    for table, its in zip(tables(), heads, strict=True):
        for done in archive.table(its, _stored(connection, table)):
            show(its, done)
    archive.close()
    return head


def _kind(connection: Connection) -> Any:
    return connection.dialect.name


def _stored(connection: Connection, table: Table) -> Iterator[Sequence[Row]]:
    """The rows in the order of their key, which also fills a table without rowids in its own order later on."""
    statement = select(table).order_by(*table.primary_key.columns)
    found = connection.execution_options(yield_per=FETCHED_ROWS).execute(statement)
    floats = [place for place, column in enumerate(table.columns) if isinstance(column.type, Float)]
    for part in found.partitions():
        rows = [tuple(row) for row in part]
        for place in floats:
            if not all(row[place] is None or math.isfinite(row[place]) for row in rows):
                raise NotReady(f"Table {table.name} cannot be exported: in {table.columns[place].name} is no finite number.")
        yield rows


def read_archive(connection: Connection, archive: ArchiveReader, *, current: bool, show: Show) -> None:
    """Fill the database, whose tables are those of the archive's migration, with all rows of ``archive``.

    ``connection`` is in a transaction that must be rolled back when this raises. ``current``: this migration is the newest.

    Raises:
        Conflict: a table has rows already.
        InvalidInput: the archive does not fit these tables, is damaged, or holds a row that this database does not take.
    """
    places = {table.name: table for table in (tables() if current else _reflected(connection))}
    _check_tables(archive.head, places)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        # Until the commit nobody else can fill them, nor see them half full: a service that starts meanwhile waits.
        connection.execute(text(f"LOCK TABLE {', '.join(map(_qualified, places.values()))} IN EXCLUSIVE MODE"))
    _check_empty(connection, places.values())
    for its in archive.head.tables:
        _fill(connection, places[its.name], its, archive, show)
    archive.end()
    if connection.dialect.name == "postgresql":
        for table in places.values():
            _go_on_counting(connection, table)
            connection.execute(text(f"ANALYZE {_qualified(table)}"))  # or the first plans would be made for no rows


def _reflected(connection: Connection) -> list[Table]:
    found = MetaData()
    # What a partition holds is its parent's, and is read and filled through it.
    found.reflect(connection, only=lambda name, _: name != OF_ALEMBIC and not is_partition(name))
    return found.sorted_tables


def _check_tables(head: Head, places: dict[str, Table]) -> None:
    """Names, not only numbers: an archive of other tables is of another program, or somebody's own."""
    given = {table.name: table for table in head.tables}
    if unknown := [name for name in given if name not in places]:
        raise InvalidInput(f"Migration {head.revision} has no table {unknown[0][:63]!a}.")
    if lacking := [name for name in places if name not in given]:
        raise InvalidInput(f"The export lacks the tables {', '.join(lacking)}.")
    for name, table in places.items():
        if set(given[name].columns) != set(table.columns.keys()):
            differing = sorted(set(given[name].columns) ^ set(table.columns.keys()))
            raise InvalidInput(f"Table {name} has other columns at migration {head.revision}: {differing[0][:63]!a}.")


def check_empty(connection: Connection) -> None:
    """Refuse a database that holds anything, whatever its migration.

    Raises:
        Conflict: the message names the tables that have rows.
    """
    _check_empty(connection, _reflected(connection))


def _check_empty(connection: Connection, places: Iterable[Table]) -> None:
    full = [table.name for table in places if connection.execute(select(literal(1)).select_from(table).limit(1)).first()]
    if full:
        raise Conflict(f"The database is not empty: there are rows in {', '.join(full)}. An import needs a new database.")


def _qualified(table: Table) -> str:
    return f'{SCHEMA}."{table.name}"'


def _fill(connection: Connection, table: Table, its: TableHead, archive: ArchiveReader, show: Show) -> None:
    types: Any = tuple(_type(table.columns[name]) for name in its.columns)
    statement, done = insert(table), 0
    for batch in archive.rows(its, tuple[types]):
        try:
            connection.execute(statement, [dict(zip(its.columns, values, strict=True)) for values in batch])
        except (StatementError, sqlite3.Error, ValueError, OverflowError) as error:
            if storage_failed(error):
                raise
            raise InvalidInput(
                f"Table {its.name}, rows {done + 1} to {done + len(batch)}:", f"not taken: {printable(words(error))}"
            ) from error
        done += len(batch)
        show(its, done)
    stored = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if stored != its.rows:
        raise InvalidInput(f"Table {its.name} has {stored} rows after the import of {its.rows}.")


def _type(column: Column[Any]) -> Any:
    """What a value of ``column`` must be in the archive."""
    kinds: tuple[tuple[type, Any], ...] = (
        (Boolean, bool),
        (Integer, Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]),
        (Float, float),
        (LargeBinary, bytes),
        (Text, str),
    )
    kind = next(kind for family, kind in kinds if isinstance(column.type, family))
    return kind | None if column.nullable else kind


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let the numbers that PostgreSQL gives to new rows follow the highest there is. SQLite looks for itself."""
    for column in table.primary_key.columns:
        if not isinstance(column.type, Integer):
            continue
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": _qualified(table), "column": column.name}
        ).scalar()
        highest = connection.execute(select(func.max(column))).scalar()
        if sequence is not None and highest is not None:
            connection.execute(select(func.setval(sequence, highest)))
