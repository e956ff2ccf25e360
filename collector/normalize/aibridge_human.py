"""Log lines for people -> their fields, as far as such lines can be read back.

``2026-01-13 15:50:20.795 [info]  names: message  key=value  key=value``: two blanks between parts, texts quoted as Go quotes
them when they need it, objects as JSON. The first field with a line feed is moved behind the others: its line ends in
`` ...`` and is followed by ``    key= first line`` and the rest, aligned under it. Every line may carry the prefix of a
development script (``[API] ``) and, from a terminal, colours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

MAX_FIELDS = 64
MULTILINE = " ..."
METADATA = "metadata"

_HEAD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[[a-z]{4}\] ")
_PREFIX = re.compile(r"\[\w{1,16}\] (?=\d{4}-|    |$)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FIELD = re.compile(r"  ([A-Za-z_][\w.-]{0,63})=")
_MOVED = re.compile(r"    ([A-Za-z_][\w.-]{0,63})= ?")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)  # possessive: a megabyte needs no way back
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SHORT = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASCII, _UNICODE = 0x7F, 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_JSON = json.JSONDecoder()


class Unreadable(ValueError):
    """A line that begins like a log line of ours and goes on like none; the text says why."""


def plain(line: str) -> str:
    """``line`` without colours and without the prefix of the development script."""
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    return _PREFIX.sub("", line, count=1) if line.startswith("[") else line


def is_head(line: str) -> bool:
    """Whether a :func:`plain` line begins an entry."""
    return _HEAD.match(line) is not None


def is_continuation(line: str) -> bool:
    """Whether it can belong to a field of several lines: indented, or empty within the text."""
    return line.startswith("    ") or not line


def fields(lines: Sequence[str]) -> dict[str, Any]:
    """The fields of one entry: its :func:`plain` head and the lines that continue it.

    Raises:
        Unreadable: what should be a field is none.
    """
    head, *more = lines
    text = head.removesuffix(MULTILINE) if more else head
    found: dict[str, Any] = {}
    first = _FIELD.search(text)
    at = first.start() if first else len(text)
    while at < len(text):
        field = _FIELD.match(text, at)
        if field is None or len(found) == MAX_FIELDS:
            raise Unreadable("What follows a field is no field.")
        found[field[1]], at = _value(field[1], text, field.end())
    if more:
        name, value = _moved(more)
        found[name] = value
    return found


def _value(name: str, text: str, at: int) -> tuple[Any, int]:
    """The value of ``name``, which begins at ``at``, and where it ends."""
    if text.startswith('"', at):
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            raise Unreadable("A quoted text has no end.")
        return _unquoted(quoted[1]), quoted.end()
    if text.startswith(("{", "["), at) and (structure := _structure(text, at)):
        value, end = structure
        # A text like {} needs no quotes, so what is no metadata stays the text that it may be.
        return (value if name == METADATA else text[at:end]), end
    end = text.find("  ", at)
    end = len(text) if end < 0 else end
    bare = text[at:end].rstrip(" ")
    return (None if bare == "<nil>" else bare), end


def _structure(text: str, at: int) -> tuple[Any, int] | None:
    """The JSON that begins at ``at`` and its end; None when it is none, or only begins like it."""
    try:
        value, end = _JSON.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return (value, end) if end == len(text) or text.startswith("  ", end) else None


def _moved(lines: Sequence[str]) -> tuple[str, str]:
    first = _MOVED.match(lines[0])
    if first is None:
        raise Unreadable("The text of several lines has no name.")
    # What is aligned under the first line is as far to the right as that one's text.
    margin = " " * first.end()
    return first[1], "\n".join([lines[0][first.end() :], *(line.removeprefix(margin) for line in lines[1:])])


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(escape: re.Match[str]) -> str:
    byte, short, long, letter = escape.groups()
    if letter is not None:
        return _SHORT.get(letter, letter)
    code = int(byte or short or long, 16)
    # Go writes \x for bytes that are no UTF-8, and \x7f.
    unfit = (byte and code > _ASCII) or code > _UNICODE or code in _SURROGATES
    return "\ufffd" if unfit else chr(code)
