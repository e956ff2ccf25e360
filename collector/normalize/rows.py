"""A body that is a JSON array, judged row by row: a row that is wrong is refused by name, the others pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from collector.wire.errors import InvalidReport, TooLarge
from collector.wire.records import Refusal

Row = TypeVar("Row")
Record = TypeVar("Record")

MAX_ROWS = 10_000
MAX_NAME = 256

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GO_ZERO_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z, which is how Go writes "no time"
LAST_MS = 253_402_300_799_999  # the end of the year 9999; an offset can carry a time past it

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])

# Any escape of a JSON string, so that the "\\ud800" of a backslash and five letters is not taken for a surrogate.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PLACE = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)


def judged(
    body: bytes, decoder: msgspec.json.Decoder[Row], record: Callable[[Row], Record]
) -> tuple[list[tuple[int, Record]], list[Refusal]]:
    """Each row's record beside its index in the body, and the refusals of the rows that are not as ``decoder`` says.

    Raises:
        InvalidReport: the body is not a JSON array.
        TooLarge: the array has more than ``MAX_ROWS`` rows.
    """
    records: list[tuple[int, Record]] = []
    refusals: list[Refusal] = []
    for index, row in enumerate(_rows(body)):
        try:
            records.append((index, record(decoder.decode(row))))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            refusals.append(Refusal(index, reason(error)))
    return records, refusals


def _rows(body: bytes) -> list[msgspec.Raw]:
    try:
        rows = _ARRAY.decode(whole_escapes(body))
    except msgspec.ValidationError as error:
        raise InvalidReport("The body is not a JSON array.", reason(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidReport("The body is not valid JSON.", reason(error)) from error
    except RecursionError as error:
        raise InvalidReport("The body is nested too deeply.") from error
    if len(rows) > MAX_ROWS:
        raise TooLarge(f"At most {MAX_ROWS:,} rows fit in one request.", f"The body has {len(rows):,}.")
    return rows


def whole_escapes(body: bytes) -> bytes:
    """``body`` without halves of surrogate pairs.

    One is valid JSON but no text, and would spoil its whole body: it becomes U+FFFD, as in Go.
    """
    return _ESCAPE.sub(_without_surrogate, body) if b"\\ud" in body or b"\\uD" in body else body


def _without_surrogate(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]


def reason(error: Exception) -> str:
    """The decoder's sentence with the field in front: ``stats.rx_bytes: Expected `int` >= 0``."""
    if isinstance(error, UnicodeDecodeError):
        return "The text is not valid UTF-8."
    placed = _PLACE.match(str(error))
    if placed is None:
        return str(error)
    # The one pattern of these types is that of an id, and its expression would tell a sender nothing.
    reason = "must not hold control characters" if "matching regex" in placed[1] else placed[1]
    return f"{placed[2]}: {reason}"


def name(text: str | None) -> str | None:
    """``text`` in one line of at most ``MAX_NAME`` characters; None when nothing is left."""
    return line(text, MAX_NAME) if text else None


def line(text: str, length: int) -> str | None:
    """``text`` with every run of control characters made one space, cut to ``length`` characters; None when nothing is left."""
    return _CONTROL.sub(" ", text[: 2 * length]).strip()[:length] or None


def milliseconds(moment: datetime | None) -> int | None:
    """Milliseconds since the epoch, rounded down; None for no time, also as Go writes it."""
    if moment is None:
        return None
    value = (moment - EPOCH) // timedelta(milliseconds=1)
    return min(value, LAST_MS) if value > GO_ZERO_MS else None
