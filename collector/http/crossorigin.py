"""What other sites' pages may do with answers: nothing, or with ``allow_all`` read those to GET, never with credentials.

CSP intake answers its own preflights and is open to every page either way.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

ASKED_METHOD = "Access-Control-Request-Method"
ASKED_HEADERS = "Access-Control-Request-Headers"
METHODS = frozenset({"GET", "OPTIONS"})
HEADERS = frozenset({"accept", "content-type", "x-latency-check", "x-csrf-token", "origin"})  # the session token is not one


def cross_origin(*, allow_all: bool) -> Middleware:
    """Answers every preflight with an empty 200; what is allowed stands in its headers, so without them nothing is."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _is_preflight(request):
            return _preflight(request, allow_all=allow_all)
        response = await handler(request)
        if allow_all and request.method in METHODS and "Origin" in request.headers:
            response.headers.setdefault("Access-Control-Allow-Origin", "*")
        response.headers.add("Vary", "Origin")
        return response

    return answer


def _is_preflight(request: web.Request) -> bool:
    """Whether this asks for leave, and of no route that answers such questions itself."""
    return request.method == "OPTIONS" and ASKED_METHOD in request.headers and request.match_info.http_exception is not None


def _preflight(request: web.Request, *, allow_all: bool) -> web.Response:
    response = web.Response(headers={"X-Content-Type-Options": "nosniff"})
    for header in ("Origin", ASKED_METHOD, ASKED_HEADERS):
        response.headers.add("Vary", header)
    method = request.headers[ASKED_METHOD].upper()
    headers = [name.strip() for name in request.headers.get(ASKED_HEADERS, "").split(",") if name.strip()]
    if not allow_all or "Origin" not in request.headers or method not in METHODS:
        return response
    if any(name.lower() not in HEADERS for name in headers):
        return response
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Methods"] = method
    if headers:
        response.headers["Access-Control-Allow-Headers"] = ", ".join(headers)
    return response
