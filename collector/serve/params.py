"""Query parameters, parsed once. What cannot be used is refused with the parameter's name and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from collector.http import body
from collector.wire.errors import InvalidInput, Validation

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

BODY_LIMIT = 256 * 1024
BAD_BODY = "The request body cannot be used."
MESSAGE = "Query parameters have invalid values."
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DATE_AND_T = len("2026-01-13T")
_STEP = re.compile(r"(\d{1,9})([smhdw]?)")

# What is documented of both kinds.
MOMENT: Mapping[str, Any] = {"type": "string"}
SECONDS: Mapping[str, Any] = {"type": "string", "pattern": r"^\d{1,9}[smhdw]?$"}


def moment(request: web.BaseRequest, name: str, default: int) -> int:
    """A time as RFC 3339 or as seconds since the epoch, in milliseconds; ``default`` when absent or empty.

    A time without an offset is taken as UTC.
    """
    text = request.query.get(name, "")
    if not text:
        return default
    if re.fullmatch(r"\d{1,11}(\.\d{1,9})?", text):
        return int(float(text) * 1000)
    try:
        # A query string turns the "+" of an offset into a blank.
        parsed = datetime.fromisoformat(text[:_DATE_AND_T] + text[_DATE_AND_T:].replace(" ", "+"))
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise invalid(name, "must be a time as RFC 3339, or seconds since the epoch") from None


def seconds(request: web.BaseRequest, name: str, default: int, *, low: int, high: int) -> int:
    """A span of time as seconds or as 30s, 5m, 1h, 7d, in seconds; ``default`` when absent or empty."""
    text = request.query.get(name, "")
    if not text:
        return default
    match = _STEP.fullmatch(text)
    value = int(match[1]) * _SECONDS[match[2] or "s"] if match else -1
    if not low <= value <= high:
        raise invalid(name, f"must be a span of time like 30s, 5m, 1h or 7d, from {low} to {high} seconds")
    return value


async def json_body(request: web.BaseRequest, kind: type[T]) -> T:
    """The body as JSON of that type, at most 256 KiB.

    Raises:
        TooLarge: it is longer.
        InvalidInput: it is no JSON, or names the field that cannot be used.
    """
    content = await body.read(request, limit=BODY_LIMIT)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        raise InvalidInput(BAD_BODY, validations=(Validation(path.strip(".`") or "body", detail),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(BAD_BODY, "It is not JSON.") from error


def asked(request: web.BaseRequest, kind: type[S]) -> S:
    """The parameters as a ``kind``, a struct; an empty one counts as absent, what is no field of it is ignored.

    Where the field is a set, commas part its members.

    Raises:
        InvalidInput: names the parameter that cannot be used.
    """
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        text = request.query.get(field.name, "")
        if not text and field.required:
            raise invalid(field.name, "must be given")
        if "\0" in text:  # PostgreSQL has no text with it
            raise invalid(field.name, "must not hold a NUL character")
        if text:
            given[field.name] = text.split(",") if isinstance(field.default, frozenset) else text
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        name = re.search(r"\$\.(\w+)", place)
        raise invalid(name[1] if name else "query", f"cannot be used: {problem}") from error


def choice(request: web.BaseRequest, name: str, choices: Sequence[str]) -> str:
    """One of ``choices``; the first of them when absent or empty."""
    text = request.query.get(name, "") or choices[0]
    if text not in choices:
        raise invalid(name, f"must be one of {', '.join(choices)}")
    return text


def text_of(choices: Sequence[str]) -> Mapping[str, Any]:
    """What is documented of a :func:`choice`."""
    return {"type": "string", "enum": list(choices)}


def invalid(name: str, problem: str) -> InvalidInput:
    """The refusal of one parameter."""
    return InvalidInput(MESSAGE, validations=(Validation(name, f"{name} {problem}"),))
