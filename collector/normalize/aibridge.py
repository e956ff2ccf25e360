"""A log with lines of the AI bridge in it, JSON or for people -> its records, line by line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from collector.normalize import aibridge_human as human
from collector.normalize.aibridge_records import Unusable
from collector.normalize.rows import reason, whole_escapes
from collector.wire.aibridge import AibridgeRecord, Fields, LogLine, RecordType, Span

LONGEST_ENTRY = 1024 * 1024  # characters of one entry in all its lines
MAX_REASON = 300

_LINE = msgspec.json.Decoder(LogLine)
_FIELDS: msgspec.json.Decoder[Fields] = msgspec.json.Decoder(Fields)
_TYPE = msgspec.json.Decoder(RecordType)

TOO_LONG = "The line is too long."
NOT_A_LINE = "This is neither JSON nor a line of a log."


class Judged(NamedTuple):
    """What became of one entry: a record, or the reason why it is refused; neither when it is not about the AI bridge."""

    line: int  # of the log, from 1; the first of an entry in several lines
    record: AibridgeRecord | None = None
    error: str | None = None


class LogReader:
    """Reads a log line by line, in whatever pieces it comes.

    Args:
        record: makes the record of a line's fields; raises ``Unusable``.
    """

    def __init__(self, record: Callable[[Fields, Span], AibridgeRecord]) -> None:
        self._record = record
        self._lines = 0
        self._entry: list[str] = []  # an entry for people whose lines may not have ended
        self._entry_line = self._entry_length = 0

    def read(self, line: bytes | None) -> list[Judged]:
        """What ends with the next line, given without its line feed: mostly one entry. None is a line over the limit."""
        self._lines += 1
        if line is None:
            return [*self.end(), Judged(self._lines, error=TOO_LONG)]
        # What is indented belongs to a text of several lines, if there is one.
        if line.startswith(b"{") or (not self._entry and line.lstrip().startswith(b"{")):
            return [*self.end(), self._json(line)]
        text = human.plain(line.rstrip(b"\r").decode("utf-8", "replace"))
        if self._entry and human.is_continuation(text):
            self._entry_length += len(text) + 1
            if self._entry_length <= LONGEST_ENTRY:
                self._entry.append(text)
            return []
        return [*self.end(), *self._human(text)]

    def end(self) -> list[Judged]:
        """What is left once no line follows."""
        if not self._entry:
            return []
        lines, self._entry = self._entry, []
        if self._entry_length > LONGEST_ENTRY:
            return [Judged(self._entry_line, error=TOO_LONG)]
        return [self._of_human(lines, self._entry_line)]

    def _json(self, line: bytes) -> Judged:
        if b'"record_type"' not in line:
            # Most of a server's log: not looked at any further, but for being cut.
            cut = not line.rstrip().endswith(b"}")
            return Judged(self._lines, error="The line is cut short." if cut else None)
        try:
            whole = whole_escapes(line)
            outer = _LINE.decode(whole)
            inner = outer.fields if bytes(outer.fields) not in (b"", b"null") else whole
            fields = _fields(inner)
            record = None if fields is None else self._record(fields, Span(outer.trace, outer.span))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return Judged(self._lines, error=reason(error)[:MAX_REASON])
        except RecursionError:
            return Judged(self._lines, error="The line is nested too deeply.")
        except Unusable as error:
            return Judged(self._lines, error=str(error))
        return Judged(self._lines, record)

    def _human(self, text: str) -> list[Judged]:
        if not human.is_head(text):
            stray = bool(text.strip()) and not text.startswith((" ", "\t"))  # what is indented belongs to another entry
            return [Judged(self._lines, error=NOT_A_LINE if stray else None)]
        if text.endswith(human.MULTILINE):
            self._entry, self._entry_line, self._entry_length = [text], self._lines, len(text)
            return []
        return [self._of_human([text], self._lines)]

    def _of_human(self, lines: list[str], number: int) -> Judged:
        if "  record_type=" not in lines[0]:
            return Judged(number)
        try:
            found = human.fields(lines)
            fields: Fields = msgspec.convert(_without_nothing(found), Fields, strict=False)
            record = self._record(fields, Span(str(found.get("trace") or ""), str(found.get("span") or "")))
        except msgspec.ValidationError as error:
            return Judged(number, error=reason(error)[:MAX_REASON])
        except (human.Unreadable, Unusable) as error:
            return Judged(number, error=str(error))
        return Judged(number, record)


def _fields(raw: msgspec.Raw | bytes) -> Fields | None:
    """The fields; None when the line has no ``record_type`` where it counts."""
    try:
        return _FIELDS.decode(raw)
    except msgspec.ValidationError:
        if not _TYPE.decode(raw).record_type:
            return None
        raise


def _without_nothing(found: dict[str, Any]) -> dict[str, Any]:
    """A field without a value is as good as none; ``str`` takes no None, and Go prints <nil> for what JSON leaves out."""
    return {name: value for name, value in found.items() if value is not None}
