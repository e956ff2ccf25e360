"""Families and their samples -> bytes, in the two formats that Prometheus reads, plain or compressed.

The client of Prometheus writes the few hundred samples of the process. Ten thousand agents have a hundred thousand, projects
ten thousand, and for those it takes seconds; what is written here of labels once a series and of a line once a sample takes a
tenth of one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from collector.serve.families import Family

RAW = -15  # a deflate stream without a header, in a window of 32 KiB
PIECE = 500  # lines
SLICE = 65_536  # bytes
LEVEL = 1  # the lines are alike: a higher one takes three times as long for a fifth less
# RFC 1952: deflate, no name, no time, fastest, of an unknown system; and RFC 1951's shortest last block, which is empty.
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
LAST_BLOCK = b"\x03\x00"
EOF = b"# EOF\n"
HELP = b"# HELP "


class Format(StrEnum):
    """Its value is the type that an answer has. Prometheus 3 takes no scrape without just these parameters."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Sampled(NamedTuple):
    """A family with its values by labels, as :func:`labelled` writes them: no series can be there twice."""

    family: Family
    samples: Mapping[str, float]
    kind: str = ""  # other than the family's own


class Body(NamedTuple):
    """A part of an answer, plain and as a deflate stream that more may follow."""

    plain: bytes
    deflated: bytes
    checksum: int  # CRC-32 of the plain bytes


Bodies = Mapping[Format, Body]


def labelled(names: Iterable[str], values: Iterable[str]) -> str:
    """``{name="value",…}``; "" without a label."""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def sampled(family: Family, rows: Iterable[tuple[Sequence[str], float]]) -> Sampled:
    """Values by those of the family's labels, which are written in order; of labels that come twice their sum."""
    places = sorted(range(len(family.labels)), key=family.labels.__getitem__)
    names = [family.labels[place] for place in places]
    samples: dict[str, float] = {}
    for values, value in rows:
        labels = labelled(names, [values[place] for place in places])
        samples[labels] = samples.get(labels, 0) + value
    return Sampled(family, samples)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def bodies(families: Sequence[Sampled]) -> Bodies:
    """``families`` in every format."""
    return {format_: _compressed(_pieces(_lines(families, format_))) for format_ in Format}


def kept(text: Body) -> bytes:
    """``text`` as another process can restore it: a whole deflate stream."""
    return text.deflated + LAST_BLOCK


def restored(stream: bytes) -> Bodies:
    """In every format what :func:`kept` has kept of the text format.

    Raises:
        ValueError, zlib.error: when it is something else.
    """
    if not stream.endswith(LAST_BLOCK):
        raise ValueError("these are no metrics: their stream has another end")
    text = zlib.decompress(stream, RAW)
    openmetrics = _compressed(_slices(_respelled(text)))
    return {Format.TEXT: Body(text, stream[: -len(LAST_BLOCK)], zlib.crc32(text)), Format.OPENMETRICS: openmetrics}


def _respelled(text: bytes) -> bytes:
    """The text format as OpenMetrics: only what stands above a family's samples differs."""
    parts = []
    for family in text.split(HELP)[1:]:  # no label holds the end of a line, so nothing else begins like that
        described, typed, samples = family.split(b"\n", 2)
        name, _, meaning = described.decode().partition(" ")
        kind = typed.decode().rpartition(" ")[2]
        parts += [_above(name, meaning, kind, Format.OPENMETRICS).encode(), samples]
    return b"".join(parts)


def _slices(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), SLICE):
        yield content[start : start + SLICE]


def _compressed(pieces: Iterable[bytes]) -> Body:
    """It ends at a byte, so that streams can be joined.

    Piece by piece: to compress one gives the interpreter's lock away, and the event loop gets its turn.
    """
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW)
    plain, deflated, checksum = [], [], 0
    for piece in pieces:
        plain.append(piece)
        deflated.append(compressor.compress(piece))
        checksum = zlib.crc32(piece, checksum)
    return Body(b"".join(plain), b"".join(deflated) + compressor.flush(zlib.Z_FULL_FLUSH), checksum)


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    while piece := "".join(islice(lines, PIECE)):
        yield piece.encode()


def answer(made: Sequence[Body], new: bytes, *, compressed: bool) -> bytes:
    """What is ``made``, and after it what is ``new``, as one body, plain or with gzip.

    What the first one is summed up to is known, so the largest goes first.
    """
    if not compressed:
        return b"".join([*(part.plain for part in made), new])
    parts = [*made, _compressed([new])]
    checksum, size = parts[0].checksum, len(parts[0].plain)
    for part in parts[1:]:
        checksum, size = zlib.crc32(part.plain, checksum), size + len(part.plain)
    tail = struct.pack("<LL", checksum, size & 0xFFFF_FFFF)
    return b"".join([GZIP_HEAD, *(part.deflated for part in parts), LAST_BLOCK, tail])


def lines(families: Iterable[Sampled], format_: Format) -> str:
    """``families`` in one format: few of them, which change with every scrape."""
    return "".join(_lines(families, format_))


def _lines(families: Iterable[Sampled], format_: Format) -> Iterator[str]:
    for family, samples, other_kind in families:
        yield _above(family.name, family.meaning, other_kind or family.kind, format_)
        for labels, value in samples.items():
            yield f"{family.name}{labels} {value}\n"


def _above(name: str, meaning: str, kind: str, format_: Format) -> str:
    """The lines before a family's samples. A meaning is ours: it holds nothing to escape."""
    if format_ is Format.OPENMETRICS and kind == "counter":
        # There a counter has _total at its end; of what an agent calls otherwise nothing is promised.
        kind = kind if name.endswith("_total") else "unknown"
        name = name.removesuffix("_total")
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
