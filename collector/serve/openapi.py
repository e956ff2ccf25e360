"""/openapi.json: the document that clients are generated from, made of the route table and the types of the wire.

A handler under two paths is described at both; that which stands first in the table names the other.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from collector.http.access import Access
from collector.http.appkeys import OPENAPI
from collector.http.errors import ErrorBody, status_of
from collector.http.operation import JSON, Operation, Param, Route, operation_of
from collector.serve import answer_headers
from collector.wire.errors import BypassRefused, Forbidden, InvalidReport, Overloaded, RateLimited, TooLarge, Unauthorized

NOT_ALLOWED = 405
INTERNAL_ERROR = 500
REFERENCE = "#/components/schemas/{name}"

Scheme = Mapping[str, Sequence[str]]
TOKEN: Scheme = {"token": []}
BEARER: Scheme = {"bearer": []}
AGENT: Scheme = {"agent": []}

# What opens a route: any one of the schemes.
SECURITY: Mapping[Access, Sequence[Scheme]] = {
    Access.PUBLIC: (),
    Access.SIGNED_IN: (TOKEN, BEARER),
    Access.SELF: (TOKEN, BEARER),
    Access.READ: (TOKEN, BEARER),
    Access.PROJECTS: (TOKEN, BEARER),
    Access.OWNER: (TOKEN, BEARER),
    Access.FEED: (BEARER, TOKEN),
    Access.CSP: ({"browserKey": []}, TOKEN),
    Access.AGENT: (AGENT,),
}
SCHEMES = {
    "token": {"type": "apiKey", "in": "header", "name": "Coder-Session-Token", "description": "The token of a user."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The token of a user; for intake also a feed key."},
    "browserKey": {"type": "apiKey", "in": "query", "name": "key", "description": "A browser key, which is public."},
    "agent": {
        "type": "apiKey",
        "in": "header",
        "name": "Coder-Session-Token",
        "description": "The token of an agent, an UUID.",
    },
}


class Described(NamedTuple):
    """A route that clients call, what it does in words, and the other paths that it has, in the table's order."""

    route: Route
    operation: Operation
    summary: str
    description: str
    paths: tuple[str, ...]

    @property
    def is_alias(self) -> bool:
        """Whether clients should use another path."""
        return self.route.path != self.paths[0]

    @property
    def tag(self) -> str:
        """The kind of record that it is about: the name of its module."""
        return self.route.handler.__module__.rpartition(".")[2]

    @property
    def statuses(self) -> Iterator[int]:
        """Every status that it may refuse with."""
        route, operation = self.route, self.operation
        kinds = set(operation.refuses)
        if route.access is not Access.PUBLIC:
            kinds |= {Unauthorized, Forbidden, Overloaded}
        if route.limited:
            kinds |= {RateLimited, BypassRefused, Overloaded}  # who asks to be let past the limit is looked up
        if operation.query or operation.body is not None:
            kinds.add(InvalidReport)
        if operation.body is not None:
            kinds.add(TooLarge)
        yield from sorted({INTERNAL_ERROR, *(status_of(kind) for kind in kinds)})


@Operation(answer=dict[str, Any])
async def get_openapi(request: web.Request) -> web.Response:
    """This document."""
    return web.Response(body=request.app[OPENAPI], content_type=JSON)


def described(routes: Iterable[Route]) -> Iterator[Described]:
    """The routes that clients call, in the table's order; pages, which are for people, are left out."""
    table = list(routes)
    for route in table:
        operation = operation_of(route.handler)
        if operation is None:
            continue
        text = in_words(route)
        paths = tuple(other.path for other in table if (other.method, other.handler) == (route.method, route.handler))
        yield Described(route, operation, text.partition(". ")[0].removesuffix("."), text, paths)


def in_words(route: Route) -> str:
    """The first paragraph of the handler's docstring; what follows is for who reads the code."""
    paragraph = (inspect.getdoc(route.handler) or "").partition("\n\n")[0]
    return " ".join(paragraph.replace("``", "`").split())


def document(routes: Iterable[Route], version: str, *others: type[msgspec.Struct]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``routes``; types of the wire may refer to the ``others`` by name."""
    entries = list(described(routes))
    kinds = [ErrorBody, *others, *(kind for entry in entries for kind in _types(entry.operation))]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    schema_of = dict(zip(map(_key, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for entry in entries:
        path = re.sub(r"{(\w+):[^}]*}", r"{\1}", entry.route.path)
        paths.setdefault(path, {})[entry.route.method.lower()] = _operation(entry, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Collector",
            "version": version,
            "description": "A method that a path does not have is answered with `MethodNotAllowed`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": answer_headers.components(),
            "responses": {"MethodNotAllowed": _not_allowed(schema_of[_key(ErrorBody)])},
            "securitySchemes": SCHEMES,
        },
    }


def _not_allowed(error: Mapping[str, Any]) -> dict[str, Any]:
    """No operation can have it, as it is the answer where there is none."""
    return {
        "description": HTTPStatus(NOT_ALLOWED).phrase,
        "headers": answer_headers.references(["Allow"]),
        "content": {JSON: {"schema": error}},
    }


def _types(operation: Operation) -> Iterator[Any]:
    yield from (kind for kind in (operation.answer, operation.body, *operation.others.values()) if kind is not None)


def _key(kind: Any) -> str:
    """Types like ``list[Row] | Row`` are equal only to themselves; their text is as good a key."""
    return repr(kind)


def _operation(entry: Described, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    route, operation = entry.route, entry.operation
    aliases = " and ".join(f"`{path}`" for path in entry.paths[1:])
    also = f" The same as `{entry.paths[0]}`." if entry.is_alias else f" Also at {aliases}." if aliases else ""
    scope = f" A token with scopes needs `{route.scope}`." if route.scope else ""
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method} {route.path}".lower().removesuffix("}")),
        "tags": [entry.tag],
        "summary": entry.summary,
        "description": entry.description + also + scope,
        "parameters": [
            *(_parameter(param, "path") for param in operation.path),
            *(_parameter(param, "query") for param in operation.query),
        ],
        "responses": _responses(entry, schema_of),
    }
    if operation.body is not None:
        schema = schema_of[_key(operation.body)]
        described["requestBody"] = {"required": True, "content": {media: {"schema": schema} for media in operation.body_media}}
    if SECURITY[route.access]:
        described["security"] = list(SECURITY[route.access])
    return described


def _parameter(param: Param, place: str) -> dict[str, Any]:
    default = f"; without it {param.default}" if param.default else ""
    return {
        "name": param.name,
        "in": place,
        "required": param.required or place == "path",
        "description": f"{param.meaning}{default}".capitalize() + ".",
        "schema": dict(param.schema),
    } | ({"example": param.example} if param.example else {})


def _responses(entry: Described, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    operation = entry.operation
    refusal = {JSON: {"schema": schema_of[_key(ErrorBody)]}}
    contents = dict.fromkeys(entry.statuses, refusal)
    contents |= {status: {JSON: {"schema": schema_of[_key(kind)]}} for status, kind in operation.others.items()}
    schema = schema_of[_key(operation.answer)] if operation.answer is not None else {"type": "string"}
    has_content = operation.answer is not None or operation.media != (JSON,)
    contents[operation.status] = {media: {"schema": schema} for media in operation.media} if has_content else {}
    return {str(status): _response(entry, status, content) for status, content in sorted(contents.items())}


def _response(entry: Described, status: int, content: Mapping[str, Any]) -> dict[str, Any]:
    operation = entry.operation
    headers = answer_headers.references(answer_headers.headers_of(entry.route, status))
    if status == operation.status:
        headers |= {name: answer_headers.described(meaning) for name, meaning in operation.headers.items()}
    if status in operation.others:  # no refusal: it says by itself what is the matter
        headers.pop("Retry-After", None)
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": headers}
    return response | {"content": content} if content else response
