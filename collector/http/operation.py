"""The route table's line, and what a client is told about a handler: the OpenAPI document and docs/api.md are made of both.

What an operation does stands in the docstring of its handler, whose first sentence is the summary; what goes in and comes
out stands beside it::

    @Operation(answer=DeploymentStats, refuses=(NotReady,))
    async def get_stats(request): ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from collector.http.access import Access
from collector.wire.errors import CollectorError
from collector.wire.identity import Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
H = TypeVar("H", bound=Callable[..., Any])

JSON = "application/json"


class Route(NamedTuple):
    """One line of the HTTP surface: who may call what. A token with scopes opens it only when ``scope`` is one of them."""

    method: str
    path: str
    handler: Handler
    access: Access
    scope: Scope | None = None
    limited: bool = True  # by CODER_API_RATE_LIMIT

    @property
    def methods(self) -> tuple[str, ...]:
        """What is registered: pages and probes answer HEAD too, the API refuses it as the real server does."""
        outside = self.access is Access.PUBLIC and not self.path.startswith("/api/")
        return (self.method, "HEAD") if self.method == "GET" and outside else (self.method,)


class Param(NamedTuple):
    """A parameter in the query or the path: its JSON Schema, and in words what it means and what holds without it."""

    name: str
    meaning: str
    schema: Mapping[str, Any]
    default: str = ""
    required: bool = False  # one in the path always is
    example: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a handler and comes out of it, beside what its line in the route table says.

    ``answer`` and ``body`` are types that msgspec knows: their JSON Schema is the documented one. What every route of its
    kind may answer (401, 403, 429, 500, ...) is not named here.
    """

    answer: Any = None  # of the JSON that a good answer holds; None: no JSON
    status: int = 200
    media: tuple[str, ...] = (JSON,)  # of the answer
    others: Mapping[int, Any] = {}  # answers by status that are neither the good one nor a refusal
    headers: Mapping[str, str] = {}  # of the good answer beside those that all have, with what each says
    query: tuple[Param, ...] = ()
    path: tuple[Param, ...] = ()
    body: Any = None
    body_media: tuple[str, ...] = (JSON,)
    refuses: tuple[type[CollectorError], ...] = ()

    def __call__(self, handler: H) -> H:
        """Describe ``handler``."""
        _DESCRIBED[handler] = self
        return handler


_DESCRIBED: dict[Callable[..., Any], Operation] = {}


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """What is said about ``handler``; None for a page, which is for people."""
    return _DESCRIBED.get(handler)
