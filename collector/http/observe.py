"""Around every request of the application: its id, the headers of every answer, one count and one log line."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from collector.http import meter
from collector.http.forwarded import Asked, asked_at
from collector.http.guard import CALLER, RATE, READING
from collector.http.signature import signature
from collector.wire.identity import User

OWN: web.RequestKey[dict[str, str]] = web.RequestKey("own", dict)

log = structlog.get_logger(__name__)


def observing(
    version: str, *, transport_security: str = "", asked: Callable[[web.BaseRequest], Asked] = asked_at
) -> Middleware:
    """The outermost middleware, around the one that turns errors into answers.

    ``transport_security`` is the value of Strict-Transport-Security, which is sent over HTTPS alone (RFC 6797, 7.2);
    ``asked`` says how a request was sent.
    """
    always = signature(version)

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = str(uuid.uuid4())
        request[OWN] = always | {"X-Coder-Request-Id": request_id}
        if transport_security and asked(request).secure:
            request[OWN]["Strict-Transport-Security"] = transport_security
        with structlog.contextvars.bound_contextvars(request_id=request_id):  # in every log line of the request
            response = await handler(request)
            _note(request, response.status, time.perf_counter() - started)
        complete(request, response)
        return response

    return observe


def complete(request: web.Request, response: web.StreamResponse) -> None:
    """Give ``response`` the headers of every answer to ``request``: in time if it is sent in pieces, before the first."""
    for name, value in request[OWN].items():
        response.headers.setdefault(name, value)
    if RATE in request:
        response.headers.update(request[RATE].headers)


def _note(request: web.Request, status: int, seconds: float) -> None:
    route = route_label(request)
    meter.count(route, request.method, status)
    meter.SECONDS.labels(route).observe(seconds)
    # The route's own pattern, not the path: a path may hold a name, and its query a key.
    log.debug("request handled", route=route, method=request.method, status=status, milliseconds=round(seconds * 1000, 3))
    caller = request.get(CALLER)
    if isinstance(caller, User) and request.method not in READING:
        # What people do to the service is told with their name, without their words: bodies may hold secrets.
        log.info(
            "act", user=caller.username, role=caller.role, route=route, method=request.method, status=status, of=_of(request)
        )


def _of(request: web.Request) -> str:
    """What of its kind the request was about: the values in its path, ids and names, as they were sent."""
    return "/".join(request.match_info.values())


def route_label(request: web.Request) -> str:
    """The pattern of the route that the request matched, from the route table."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else meter.UNKNOWN_ROUTE
