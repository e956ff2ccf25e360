"""From an error to an answer."""

from __future__ import annotations

import json

import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient, AiohttpServer
from structlog.testing import capture_logs

from collector.http.errors import STATUS, Unchallenged, error_response, errors_middleware, json_bytes
from collector.wire import errors
from collector.wire.errors import (
    CollectorError,
    Forbidden,
    InvalidInput,
    NotReady,
    Overloaded,
    RateLimited,
    TooLarge,
    Unauthorized,
    Validation,
)


def app_that_raises(error: Exception) -> web.Application:
    """A service whose one route, GET /api/v2/thing, fails."""

    async def fail(_request: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[errors_middleware])
    app.router.add_get("/api/v2/thing", fail, allow_head=False)
    return app


def test_every_error_has_a_status() -> None:
    """No error of the house is left without its row in the table."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CollectorError)]
    assert set(STATUS) == set(kinds) - {CollectorError}


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (NotReady("Deployment stats are still processing!"), 400, {"message": "Deployment stats are still processing!"}),
        (Unauthorized("Out.", "why"), 401, {"message": "Out.", "detail": "why"}),
        (Forbidden("Forbidden."), 403, {"message": "Forbidden."}),
        (TooLarge("Request body too large.", "Max"), 413, {"message": "Request body too large.", "detail": "Max"}),
        (
            InvalidInput("No.", "", (Validation("limit", "must be 1 to 1000"),)),
            400,
            {"message": "No.", "validations": [{"field": "limit", "detail": "must be 1 to 1000"}]},
        ),
    ],
)
async def test_an_error_becomes_its_answer(
    aiohttp_client: AiohttpClient, error: CollectorError, status: int, body: dict[str, object]
) -> None:
    """Its status, and JSON that leaves out what is empty."""
    client = await aiohttp_client(app_that_raises(error))
    answer = await client.get("/api/v2/thing")

    assert answer.status == status
    assert await answer.json() == body
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unknown_error_is_shown_as_nothing(aiohttp_client: AiohttpClient) -> None:
    """The caller learns that it failed; the log has the rest, but never the query."""
    client = await aiohttp_client(app_that_raises(ZeroDivisionError("the secret reason")))
    with capture_logs() as logged:
        answer = await client.get("/api/v2/thing?access_token=abcDEF0123-ABCDEFGHIJKLMNOPQRSTUV")

    assert answer.status == 500
    assert await answer.text() == '{"message":"An internal server error occurred."}\n'
    (line,) = logged
    assert (line["log_level"], line["path"]) == ("error", "/api/v2/thing")
    assert repr(line["exc_info"]) == "ZeroDivisionError('the secret reason')"
    assert "abcDEF0123" not in repr(line)


async def test_what_aiohttp_refuses_is_json_too(aiohttp_client: AiohttpClient) -> None:
    """An unknown path, a wrong method, and what a handler raises of aiohttp's own."""
    client = await aiohttp_client(app_that_raises(web.HTTPUnsupportedMediaType()))

    unknown = await client.get("/api/v2/other")
    assert (unknown.status, await unknown.text()) == (404, '{"message":"Route not found."}\n')
    wrong = await client.delete("/api/v2/thing")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET")
    assert (await wrong.json())["message"]
    other = await client.get("/api/v2/thing")
    assert (other.status, await other.json()) == (415, {"message": "Unsupported Media Type."})
    assert {answer.headers["X-Content-Type-Options"] for answer in (unknown, wrong, other)} == {"nosniff"}


async def test_a_redirect_is_no_error(aiohttp_client: AiohttpClient) -> None:
    """It goes where it says."""
    client = await aiohttp_client(app_that_raises(web.HTTPFound("/elsewhere")))
    answer = await client.get("/api/v2/thing", allow_redirects=False)

    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


async def test_a_challenge_names_the_service(aiohttp_client: AiohttpClient) -> None:
    """The header that clients of Coder look for; none where a browser could not answer it."""
    client = await aiohttp_client(app_that_raises(Unauthorized("Out.")))
    challenge = (await client.get("/api/v2/thing")).headers["WWW-Authenticate"]
    assert challenge == (
        'Bearer realm="coder", error="invalid_token", error_description="The access token has expired", '
        f'resource_metadata="{client.make_url("/.well-known/oauth-protected-resource")}"'
    )

    unchallenged = await aiohttp_client(app_that_raises(Unchallenged("Out.")))
    answer = await unchallenged.get("/api/v2/thing")
    assert answer.status == 401
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("host", ["", 'a"b', "a b", "[", "a:b", "a:99999999", "%", "ä", "a\tb"])
async def test_a_strange_host_is_no_accident(aiohttp_server: AiohttpServer, host: str) -> None:
    """Whatever the Host header says, the answer is the 401 or aiohttp's own 400, and the challenge stays one header."""
    server = await aiohttp_server(app_that_raises(Unauthorized("Out.")))
    async with ClientSession() as session, session.get(server.make_url("/api/v2/thing"), headers={"Host": host}) as answer:
        assert answer.status in (400, 401)
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"].count('"') in (6, 8)


def test_try_again_later_says_when() -> None:
    """A refusal that passes by itself has Retry-After in seconds."""
    limited = error_response(RateLimited("Slow down.", retry_after=60))
    assert (limited.status, limited.headers["Retry-After"]) == (429, "60")
    overloaded = error_response(Overloaded("Full."))
    assert (overloaded.status, overloaded.headers["Retry-After"]) == (503, "1")


def test_markup_is_escaped() -> None:
    """A report's text cannot become markup, even where a browser guesses."""
    assert json_bytes("</script>&\u2028\u2029") == b'"\\u003c/script\\u003e\\u0026\\u2028\\u2029"\n'


@given(st.text(), st.text(), st.text())
def test_any_text_can_be_shown(message: str, detail: str, field: str) -> None:
    """Also text that no encoding can carry: it came in a header or a path."""
    response = error_response(InvalidInput(message, detail, (Validation(field, detail),)))
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["validations"][0]["detail"] == detail.encode(errors="replace").decode()
