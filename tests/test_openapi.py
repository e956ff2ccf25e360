"""The OpenAPI document is valid, and the one that is served."""

from __future__ import annotations

import functools
import itertools
import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from collector.config.shape import config_type
from collector.entrance import VERSION
from collector.http.operation import operation_of
from collector.routes import ROUTES
from collector.serve.openapi import document
from tests.inside import Inside

DOCUMENT = document(ROUTES, VERSION, config_type())

FILLED = {"{user}": "me", "{id}": "1", "{name}": "default"}
# What HTTP itself is responsible for; OpenAPI describes Content-Type by the content.
OF_HTTP = {"Connection", "Content-Length", "Content-Type", "Date", "Server", "Transfer-Encoding", "Vary"}


async def test_the_served_document_is_valid(standing: Inside) -> None:
    """What /api/v2/openapi.json answers is the generated document, OpenAPI 3.1 to the letter, and needs no credential."""
    async with standing.client.get("/api/v2/openapi.json") as response:
        served = await response.json()

    assert [error.message for error in OpenAPIV31SpecValidator(served).iter_errors()] == []
    assert served == json.loads(json.dumps(DOCUMENT))


def test_every_route_is_described() -> None:
    """Whatever is no page for people says what goes in and comes out."""
    undescribed = [route for route in ROUTES if operation_of(route.handler) is None]

    assert {route.handler.__module__.split(".")[1] for route in undescribed} == {"pages"}


def test_every_path_is_an_item() -> None:
    """The shorter paths too, each with an id of its own and a word about the other."""
    described = {(route.method.lower(), route.path) for route in ROUTES if operation_of(route.handler) is not None}
    items = {(method, path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()}

    assert set(items) == described
    assert len({operation["operationId"] for operation in items.values()}) == len(items)
    assert "The same as `/api/v2/csp/reports`." in items["post", "/csp/reports"]["description"]
    assert "Also at `/csp/reports`." in items["post", "/api/v2/csp/reports"]["description"]


async def test_answers_have_the_documented_headers(inside: Inside) -> None:
    """Of what is sent every header is documented for that status, and what is documented as always there is there."""
    required = {name for name, header in DOCUMENT["components"]["headers"].items() if header["required"]}
    statuses = set()
    for path, item in DOCUMENT["paths"].items():
        url = functools.reduce(lambda text, pair: text.replace(*pair), FILLED.items(), path)
        for method, credential in itertools.product(item, ({}, inside.owner)):
            async with inside.client.request(method, url, headers=credential) as response:
                documented = set(item[method]["responses"][str(response.status)]["headers"])
            sent = set(response.headers) - OF_HTTP
            assert (method, path, sent - documented, documented & required - sent) == (method, path, set(), set())
            assert response.headers["Server"] == "collector"
            statuses.add(response.status)

    assert {200, 201, 204, 400, 401, 404} - statuses == {201, 204}


async def test_a_method_that_is_not_there_says_which_are(standing: Inside) -> None:
    """As the response that no operation can have describes it."""
    described = DOCUMENT["components"]["responses"]["MethodNotAllowed"]
    async with standing.client.delete("/api/v2/buildinfo") as response:
        answer = await response.json()

    assert (response.status, response.headers["Allow"], list(answer)) == (405, "GET", ["message"])
    assert list(described["headers"]) == ["Allow"]


def test_a_user_is_shown_by_example() -> None:
    """Whoever tries an operation out starts with itself."""
    parameters = DOCUMENT["paths"]["/api/v2/users/{user}/keys/tokens"]["get"]["parameters"]

    assert [(it["name"], it["example"]) for it in parameters] == [("user", "me")]
