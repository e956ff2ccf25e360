"""The file that ``collector export`` writes: gzip over lines of JSON, so that any tool can look into it.

The first line is the :class:`Head`. Then come the tables in its order: one line a row, a JSON array of the values in the order
of the columns, and after the rows a :class:`Foot` with their number and the SHA-256 of their lines. Nothing follows the last
foot. Bytes are Base64, times and other numbers are as they are in the database, NULL is ``null``. The file names no paths, and
is written and read from its beginning to its end: it fits through a pipe.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, BinaryIO, Literal

import msgspec

from collector.wire.errors import InvalidInput

FORMAT, VERSION = "collector-export", 1
LONGEST_HEAD = 1 << 20  # bytes
# The largest bodies that bring rows have 32 MiB, and a row is less than its body.
LONGEST_LINE = 64 << 20
BATCH_ROWS, BATCH_BYTES = 500, 1 << 20  # whichever comes first: what is held in memory
LEVEL = 6
GZIP_WBITS = 16 + zlib.MAX_WBITS  # says gzip to zlib
DAMAGE = (EOFError, zlib.error, OSError)  # gzip.BadGzipFile is an OSError too

Rows = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Row = tuple[Any, ...]


class TableHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table: its name, the columns of each of its rows in their order, and how many rows follow."""

    name: str
    columns: tuple[str, ...]
    rows: Rows


class Head(msgspec.Struct, frozen=True, tag_field="format", tag=FORMAT):
    """What the file is: which tables at which migration, when they were read and from which kind of database."""

    version: int
    revision: str  # the last migration that was applied
    database: Literal["sqlite", "postgresql"]
    made_at: Annotated[str, msgspec.Meta(pattern=r"^[0-9TZ:-]{1,20}$")]  # RFC 3339, UTC, whole seconds
    made_by: str  # the version of the collector
    tables: tuple[TableHead, ...]


class Foot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stood before it: so many rows of a table, and the SHA-256 of their lines in hexadecimal digits."""

    table: str
    rows: Rows
    sha256: str


class _Format(msgspec.Struct, tag_field="format", tag=FORMAT):
    """What every version begins with."""

    version: int


class ArchiveWriter:
    """Writes an archive to ``out``; :meth:`close` ends it and leaves ``out`` open.

    Raises:
        InvalidInput: ``out`` takes no more.
    """

    def __init__(self, out: BinaryIO, head: Head) -> None:
        self._out = out
        self._gzip = zlib.compressobj(LEVEL, wbits=GZIP_WBITS)
        self._encoder = msgspec.json.Encoder()
        self._write(self._encoder.encode(head) + b"\n")

    def table(self, head: TableHead, rows: Iterator[Sequence[Row]]) -> Iterator[int]:
        """Write ``rows``, which come in parts, and then the foot; gives the number of rows after each part."""
        digest, written = hashlib.sha256(), 0
        for part in rows:
            lines = self._encoder.encode_lines(part)
            digest.update(lines)
            self._write(lines)
            written += len(part)
            yield written
        self._write(self._encoder.encode(Foot(head.name, written, digest.hexdigest())) + b"\n")

    def close(self) -> None:
        """Write what is left."""
        self._put(self._gzip.flush())

    def _write(self, lines: bytes) -> None:
        self._put(self._gzip.compress(lines))

    def _put(self, compressed: bytes) -> None:
        try:
            self._out.write(compressed)
        except OSError as error:
            raise InvalidInput("The export cannot be written:", error.strerror or str(error)) from error


class ArchiveReader:
    """Reads an archive from ``source``, which nobody has to trust; holds a batch of rows in memory, whatever comes.

    Raises:
        InvalidInput: it is no archive, of another version, or damaged; the message says where.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._in = io.BufferedReader(gzip.GzipFile(fileobj=source, mode="rb"), 1 << 18)
        first = self._line(LONGEST_HEAD, "This is no export of a collector:")
        self.head = _head(first)

    def rows(self, table: TableHead, row: Any) -> Iterator[list[Row]]:
        """The rows of ``table``, the next one in the order of the head, in batches; ``row`` is the type that each has.

        The checksum is known to be right when the iterator has ended, not before.
        """
        decoder, digest = msgspec.json.Decoder(row), hashlib.sha256()
        batch: list[Row] = []
        size = 0
        for number in range(1, table.rows + 1):
            where = f"Table {table.name}, row {number} of {table.rows}:"
            line = self._line(LONGEST_LINE, where)
            digest.update(line)
            try:
                batch.append(decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InvalidInput(where, f"no row of this table: {error}") from error
            size += len(line)
            if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch
        self._foot(table, digest.hexdigest())

    def end(self) -> None:
        """Make sure that nothing follows, which also checks the sum at the end of the whole."""
        if self._line(1, "After the last table:", may_end=True):
            raise InvalidInput("After the last table:", "something follows")

    def _foot(self, table: TableHead, sha256: str) -> None:
        where = f"Table {table.name}, after its {table.rows} rows:"
        line = self._line(LONGEST_HEAD, where)
        try:
            foot = msgspec.json.decode(line, type=Foot)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(where, f"their checksum should follow: {error}") from error
        if foot != Foot(table.name, table.rows, sha256):
            raise InvalidInput(where, "the checksum is that of other rows")

    def _line(self, longest: int, where: str, *, may_end: bool = False) -> bytes:
        try:
            line = self._in.readline(longest)
        except DAMAGE as error:
            words = "the file is cut off" if isinstance(error, EOFError) else f"the file is damaged: {error}"
            raise InvalidInput(where, words) from error
        if may_end or line.endswith(b"\n"):
            return line
        raise InvalidInput(where, "a line is too long" if len(line) == longest else "the file ends too early")


def printable(text: str) -> str:
    """Words that may quote what stands in a file, for a terminal that does as control characters say."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _head(line: bytes) -> Head:
    where = "This is no export of a collector:"
    try:
        known = msgspec.json.decode(line, type=_Format)
        if known.version != VERSION:
            raise InvalidInput(f"This export has format {known.version}, and this collector knows format {VERSION} only.")
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(where, printable(str(error))) from error
    for table in head.tables:
        if len(set(table.columns)) != len(table.columns) or not table.columns:
            raise InvalidInput(f"The columns of table {table.name[:63]!a} are none, or not told apart.")
    if len({table.name for table in head.tables}) != len(head.tables):
        raise InvalidInput("The export names a table twice.")
    return head
