"""The file that an export writes, read by somebody who does not trust it."""

from __future__ import annotations

import gzip
import hashlib
import io
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.persist.archive import BATCH_ROWS, LONGEST_LINE, ArchiveReader, ArchiveWriter, Head, TableHead
from collector.wire.errors import InvalidInput

Row = tuple[int, str | None, bytes]
ROWS: list[Row] = [
    (2**63 - 1, None, bytes(range(256))),
    (-(2**63), "é🦄\n", b""),
    *((n, "x", b"y") for n in range(2 * BATCH_ROWS)),
]
TABLES = (TableHead("first", ("id", "text", "bytes"), len(ROWS)), TableHead("none", ("id",), 0), TableHead("last", ("id",), 1))
HEAD = Head(1, "0010", "sqlite", "2026-01-14T10:00:00Z", "1.0", TABLES)
TYPES: dict[str, Any] = {"first": Row, "none": tuple[int], "last": tuple[int]}
CONTENTS: dict[str, list[Any]] = {"first": ROWS, "none": [], "last": [(7,)]}


def written() -> bytes:
    """A small archive."""
    out = io.BytesIO()
    archive = ArchiveWriter(out, HEAD)
    for table in TABLES:
        for _ in archive.table(table, iter([CONTENTS[table.name]])):
            pass
    archive.close()
    return out.getvalue()


WHOLE = written()


def read(archive: bytes) -> dict[str, list[Any]]:
    """All of ``archive``, or what it is refused with."""
    reader = ArchiveReader(io.BytesIO(archive))
    found = {
        table.name: [row for batch in reader.rows(table, TYPES[table.name]) for row in batch] for table in reader.head.tables
    }
    reader.end()
    return found


def gzipped(*lines: bytes) -> bytes:
    """An archive of these lines."""
    return gzip.compress(b"".join(line + b"\n" for line in lines), 1)


def bomb(start: bytes, megabytes: int) -> bytes:
    """``start``, and then so many megabytes of spaces, which are a two hundredth of that in the file."""
    packing = zlib.compressobj(1, wbits=31)
    return b"".join([packing.compress(start), *(packing.compress(b" " * 2**20) for _ in range(megabytes)), packing.flush()])


def lines() -> list[bytes]:
    """Those of the small archive."""
    return gzip.decompress(WHOLE).splitlines()


def test_it_is_read_as_it_was_written() -> None:
    """Head and rows come back, and what is in memory at a time is a batch of them."""
    reader = ArchiveReader(io.BytesIO(WHOLE))
    batches = list(reader.rows(TABLES[0], Row))

    assert reader.head == HEAD
    assert [len(batch) for batch in batches] == [BATCH_ROWS, BATCH_ROWS, 2]
    assert read(WHOLE) == CONTENTS


def test_other_programs_can_read_it() -> None:
    """It is plain gzip of JSON lines: the head, the rows of a table, and their number with their checksum."""
    assert lines()[0].startswith(
        b'{"format":"collector-export","version":1,"revision":"0010","database":"sqlite","made_at":"2026-01-14T10:00:00Z"'
    )
    assert lines()[-2:] == [
        b"[7]",
        b'{"table":"last","rows":1,"sha256":"%s"}' % hashlib.sha256(b"[7]\n").hexdigest().encode(),
    ]


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_no_flipped_bit_changes_a_row(place: int, flip: int) -> None:
    """Wherever bits flip the archive is refused, but for the bytes of gzip's own head that say nothing."""
    damaged = WHOLE[:place] + bytes([WHOLE[place] ^ flip]) + WHOLE[place + 1 :]

    try:
        found = read(damaged)
    except InvalidInput:
        return
    assert found == CONTENTS
    assert place < 10, "a byte of the archive itself does not matter"


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_archive_is_refused(length: int) -> None:
    """Wherever it ends too early."""
    with pytest.raises(InvalidInput):
        read(WHOLE[:length])


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused(content: bytes, packed: bool) -> None:
    """Whatever is no archive, packed or not, is refused in words and never ends in another error."""
    with pytest.raises(InvalidInput):
        read(gzip.compress(content, 1) if packed else content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["table", "rows", "sha256", "version"]), inner),
    max_leaves=8,
)


@given(st.integers(0, len(ROWS) + 4), st.one_of(JSON.map(lambda value: repr(value).encode("utf-8", "replace")), st.binary()))
def test_no_other_line_is_taken(place: int, line: bytes) -> None:
    """A line in the place of another is refused, by its shape or by the checksum."""
    changed = lines()
    if line in (changed[place], b""):
        return
    changed[place] = line

    with pytest.raises(InvalidInput):
        read(gzipped(*changed))


def _refusals() -> Iterator[tuple[str, bytes, str]]:
    head, *rest = lines()
    yield "not gzip", b"SQLite format 3\0" + bytes(100), "This is no export of a collector: the file is damaged"
    yield "nothing", b"", "This is no export of a collector: the file ends too early"
    yield (
        "another program's",
        gzipped(b'{"format":"dump","version":1}'),
        "This is no export of a collector: Invalid value 'dump'",
    )
    yield "a terminal's orders", gzipped(b'{"format":"\\u001b[2J","version":1}'), "a collector: Invalid value '?[2J'"
    yield (
        "a time that is none",
        gzipped(head.replace(b"T10", b"\\u001b")),
        "This is no export of a collector: Expected `str` match",
    )
    yield "a later format", gzipped(head.replace(b'"version":1', b'"version":2'), *rest), "This export has format 2, and this"
    yield (
        "fewer than none",
        gzipped(head.replace(b'"rows":0', b'"rows":-1'), *rest),
        "This is no export of a collector: Expected",
    )
    yield "a table twice", gzipped(head.replace(b'"none"', b'"last"'), *rest), "names a table twice"
    yield (
        "a column twice",
        gzipped(head.replace(b'"text"', b'"id"'), *rest),
        "The columns of table 'first' are none, or not told",
    )
    yield "a second archive behind", WHOLE + WHOLE, "After the last table: something follows"
    yield "a long head", bomb(b"", 100), "This is no export of a collector: a line is too long"
    yield "a long row", bomb(head + b"\n[", 100), f"Table first, row 1 of {len(ROWS)}: a line is too long"
    yield "deep", gzipped(head, b"[" * 100_000), f"Table first, row 1 of {len(ROWS)}: no row of this table"


@pytest.mark.parametrize(("archive", "words"), [pytest.param(*case, id=name) for name, *case in _refusals()])
def test_refusals_say_what_and_where(archive: bytes, words: str) -> None:
    """Each in one line, and with no more in memory than the longest line, also when a small file unpacks to a large one."""
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput) as refused:
            read(archive)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert words in f"{refused.value.message} {refused.value.detail}"
    assert peak < 3 * LONGEST_LINE
