"""The headers of answers as a table: which answers have them, and what they say. The OpenAPI document is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from collector.http.access import Access
from collector.http.operation import Route

TEXT: Mapping[str, Any] = {"type": "string"}
WHOLE: Mapping[str, Any] = {"type": "integer", "minimum": 0}

UNAUTHORIZED, TOO_MANY, UNAVAILABLE = 401, 429, 503
COMPONENT = "#/components/headers/{name}"


class Header(NamedTuple):
    """A header: its JSON Schema, what it says, and of which route and status the answers have it."""

    name: str
    meaning: str
    schema: Mapping[str, Any]
    sent: Callable[[Route, int], bool]
    required: bool = True  # whether all those have it


def _by_browsers(route: Route, _status: int = 0) -> bool:
    """Of what browsers call by themselves: the answers hold what those look at, and no more."""
    return route.access is Access.CSP or route.method == "OPTIONS"


def _by_others(route: Route, _status: int) -> bool:
    return not _by_browsers(route)


def _preflight(route: Route, _status: int) -> bool:
    return route.method == "OPTIONS"


def _limited(route: Route, _status: int) -> bool:
    return route.limited


def _challenging(route: Route, status: int) -> bool:
    return status == UNAUTHORIZED and not _by_browsers(route)


UUID: Mapping[str, Any] = {"type": "string", "format": "uuid"}
HEADERS = (
    Header("X-Content-Type-Options", "Browsers are not to guess.", {"const": "nosniff"}, lambda *_: True),
    Header("X-Coder-Build-Version", "What runs here.", TEXT, lambda route, status: not _preflight(route, status)),
    Header("Cache-Control", "Nobody on the way is to keep it.", {"const": "no-store"}, _by_others),
    Header("X-Coder-Request-Id", "The request, as the log names it.", UUID, _by_others),
    Header("X-RateLimit-Limit", "Requests a minute, unless there is no limit.", WHOLE, _limited, required=False),
    Header("X-RateLimit-Remaining", "How many are left.", WHOLE, _limited, required=False),
    Header("X-RateLimit-Reset", "When there are more, in seconds since the epoch.", WHOLE, _limited, required=False),
    Header("Retry-After", "When to try again, in seconds.", WHOLE, lambda _, status: status in (TOO_MANY, UNAVAILABLE)),
    Header("WWW-Authenticate", "What is to be presented.", TEXT, _challenging),
    Header("Strict-Transport-Security", "Over HTTPS, when that is set.", TEXT, _by_others, required=False),
    Header("Access-Control-Allow-Origin", "Every page may read the answer.", {"const": "*"}, _by_browsers),
    Header("Access-Control-Allow-Methods", "What a page may send.", TEXT, _preflight),
    Header("Access-Control-Allow-Headers", "What its head may hold.", TEXT, _preflight),
    Header("Access-Control-Max-Age", "For how many seconds to ask no more.", WHOLE, _preflight),
    Header("Allow", "The methods that the path has.", TEXT, lambda *_: False),  # of no operation: it is where there is none
)


def headers_of(route: Route, status: int) -> Iterator[str]:
    """The names of those that an answer of ``route`` with this status may have."""
    return (header.name for header in HEADERS if header.sent(route, status))


def references(names: Iterable[str]) -> dict[str, Any]:
    """``names`` as a response of the document has them."""
    return {name: {"$ref": COMPONENT.format(name=name)} for name in names}


def components() -> dict[str, Any]:
    """All of them, as ``components/headers`` of the document holds them."""
    return {header.name: described(header.meaning, header.schema, required=header.required) for header in HEADERS}


def described(meaning: str, schema: Mapping[str, Any] = TEXT, *, required: bool = True) -> dict[str, Any]:
    """One header as the document has it."""
    return {"description": meaning, "required": required, "schema": dict(schema)}
