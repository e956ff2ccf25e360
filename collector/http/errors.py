"""Words below, numbers above: the one table from error class to status, and the JSON that every answer is made of."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from aiohttp import web

from collector.persist.engine import storage_failed
from collector.wire.errors import (
    BypassRefused,
    CollectorError,
    Conflict,
    Forbidden,
    Gone,
    HeaderTooLong,
    InvalidInput,
    InvalidOption,
    InvalidReport,
    NotFound,
    NotReady,
    Overloaded,
    RateLimited,
    TargetTooLong,
    TooLarge,
    Unauthorized,
)
from collector.wire.general import FieldError

STATUS: dict[type[CollectorError], int] = {
    InvalidReport: 400,
    InvalidInput: 400,
    InvalidOption: 400,
    NotReady: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    TooLarge: 413,
    TargetTooLong: 414,
    BypassRefused: 428,
    RateLimited: 429,
    HeaderTooLong: 431,
    Overloaded: 503,
}

OVERLOADED_RETRY_AFTER_S = 1  # a full queue is empty again within one commit

INTERNAL = "An internal server error occurred."
NO_ROUTE = "Route not found."
NO_METHOD = "Method not allowed."
STORE_FAILED = "The store cannot be reached at the moment. Try again later."

# Clients of Coder look for Bearer, its realm and invalid_token. The real server says "has expired" whatever was wrong.
CHALLENGE = 'Bearer realm="coder", error="invalid_token", error_description="The access token has expired"'

# The caller wrote the host: no quotation mark of it may end the header's own.
_PLAIN_ORIGIN = re.compile(r"https?://[a-zA-Z0-9._:\[\]-]+")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


class Unchallenged(Unauthorized):
    """A 401 without ``WWW-Authenticate``: whoever posts to /csp/reports is a browser and cannot answer a challenge."""


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What every refusal says; ``detail`` and ``validations`` are left out when there is nothing in them."""

    message: str
    detail: str = ""
    validations: list[FieldError] = []


def json_response(value: Any, status: int = 200) -> web.Response:
    """``value`` as compact JSON with a newline at its end; ``<``, ``>``, ``&`` and line separators are escaped as Go does."""
    return json_of(json_bytes(value), status)


def json_of(body: bytes, status: int = 200) -> web.Response:
    """The answer whose body :func:`json_bytes` has made before."""
    return web.Response(
        body=body,
        status=status,
        headers={"Content-Type": "application/json; charset=utf-8", "X-Content-Type-Options": "nosniff"},
    )


def json_bytes(value: Any) -> bytes:
    """What :func:`json_response` sends; these characters can only stand within strings, so replacing them is safe."""
    return (
        msgspec.json.encode(value)
        .replace(b"<", b"\\u003c")
        .replace(b">", b"\\u003e")
        .replace(b"&", b"\\u0026")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
        + b"\n"
    )


def error_response(error: Exception, request: web.BaseRequest | None = None) -> web.Response:
    """The answer to ``request`` when it ended in ``error``, with the headers that its status asks for.

    An error that is not of ``wire/errors.py`` is logged in full and shown as nothing but a 500, or a 503 when it says that
    the store could not work. Without ``request`` the
    log does not name its path, nor the challenge of a 401 the place where this service is reached.
    """
    if not isinstance(error, CollectorError):
        # The path alone: a query may hold a key or a token.
        where = {} if request is None else {"method": request.method, "path": request.path}
        log.error("request failed", exc_info=error, **where)
        if not storage_failed(error):
            return json_response(ErrorBody(INTERNAL), 500)
        error = Overloaded(STORE_FAILED)
    status = status_of(type(error))
    body = ErrorBody(
        _sendable(error.message),
        _sendable(error.detail),
        [FieldError(_sendable(field), _sendable(detail)) for field, detail in error.validations],
    )
    response = json_response(body, status)
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(OVERLOADED_RETRY_AFTER_S)
    elif isinstance(error, Unauthorized) and not isinstance(error, Unchallenged):
        response.headers["WWW-Authenticate"] = _challenge(request)
    return response


def status_of(kind: type[CollectorError]) -> int:
    """The status that an error of that kind is answered with."""
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever a handler raises becomes an answer of :func:`error_response`; every answer says ``nosniff``."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = own_words(error)
    except Exception as error:
        if isinstance(error, ConnectionError) and request.transport is None:
            raise  # the client has gone: nobody to answer, nothing to log
        response = error_response(error, request)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def own_words(error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp itself has to say, as JSON. A redirect is no error: it is raised again."""
    if error.status < 400:  # noqa: PLR2004
        raise error
    if isinstance(error, web.HTTPNotFound):
        return json_response(ErrorBody(NO_ROUTE), error.status)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response = json_response(ErrorBody(NO_METHOD), error.status)
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    return json_response(ErrorBody(f"{error.reason}."), error.status)


def _challenge(request: web.BaseRequest | None) -> str:
    try:
        origin = "" if request is None else str(request.url.origin())
    except ValueError:  # a Host header that is none
        origin = ""
    if not _PLAIN_ORIGIN.fullmatch(origin):
        return CHALLENGE
    return f'{CHALLENGE}, resource_metadata="{origin}/.well-known/oauth-protected-resource"'


def _sendable(text: str) -> str:
    """``text`` without lone surrogates, which a header or a path of arbitrary bytes leaves in it and JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()
