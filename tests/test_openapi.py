"""The OpenAPI document is valid, is the one that is served, and every operation keeps what it says."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from collector.config.shape import config_type
from collector.entrance import VERSION
from collector.http.operation import operation_of
from collector.routes import ROUTES
from collector.serve.openapi import document
from tests.inside import Inside
from tests.service import ROOT, Service, run_service

DOCUMENT = document(ROUTES, VERSION, config_type())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
EXAMPLES = 200  # of each operation, for whoever may do all
FEWER = 50  # for everybody else

FILLED = {"{user}": "me", "{id}": "1", "{name}": "default"}
# What HTTP itself is responsible for; OpenAPI describes Content-Type by the content.
OF_HTTP = {"Connection", "Content-Length", "Content-Type", "Date", "Server", "Transfer-Encoding", "Vary"}

Case = schemathesis.Case[Any]

# Parameters that nobody documented: an operation without any of its own would be asked once.
UNKNOWN = st.dictionaries(st.text(min_size=1), st.text(), max_size=3)


@schemathesis.serializer("application/csp-report")
def as_json(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """What browsers send under that name."""
    return json.dumps(value).encode()


async def test_the_served_document_is_valid(inside: Inside) -> None:
    """What /api/v2/openapi.json answers is the generated document, OpenAPI 3.1 to the letter, and needs no credential."""
    async with inside.client.get("/api/v2/openapi.json") as response:
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


async def test_a_method_that_is_not_there_says_which_are(inside: Inside) -> None:
    """As the response that no operation can have describes it."""
    described = DOCUMENT["components"]["responses"]["MethodNotAllowed"]
    async with inside.client.delete("/api/v2/buildinfo") as response:
        answer = await response.json()

    assert (response.status, response.headers["Allow"], list(answer)) == (405, "GET", ["message"])
    assert list(described["headers"]) == ["Allow"]


def test_a_user_is_shown_by_example() -> None:
    """Whoever tries an operation out starts with itself."""
    parameters = DOCUMENT["paths"]["/api/v2/users/{user}/keys/tokens"]["get"]["parameters"]

    assert [(it["name"], it["example"]) for it in parameters] == [("user", "me")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that never says that somebody asks too often."""
    options = {"CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true", "COLLECTOR_INGEST_RATE_LIMIT": "0"}
    with run_service(tmp_path_factory.mktemp("service"), **options) as running:
        yield running


@pytest.fixture(scope="module")
def credentials(service: Service) -> dict[str, dict[str, str]]:
    """What each kind of caller sends with every request."""

    def collector(*argv: str) -> str:
        command = [sys.executable, "-m", "collector", *argv]
        return subprocess.run(command, cwd=ROOT, env=service.env, check=True, capture_output=True, text=True).stdout.strip()

    tokens = {"owner": service.admin_token}
    for role in ("auditor", "member"):
        collector("user", "create", f"the-{role}", "--role", role)
        tokens[role] = collector("token", "create", "--user", f"the-{role}", "--quiet")
    return {"nobody": {}} | {role: {"Coder-Session-Token": token} for role, token in tokens.items()}


def up_to(examples: int, *phases: Phase) -> settings:
    """So many of each operation, however long they take."""
    return settings(max_examples=examples, phases=phases, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@pytest.mark.timeout(600)
@SCHEMA.parametrize()
@SCHEMA.given(beside=UNKNOWN)
@up_to(EXAMPLES, Phase.generate, Phase.shrink)
def test_every_operation_is_as_documented(
    case: Case, service: Service, credentials: dict[str, dict[str, str]], beside: dict[str, str]
) -> None:
    """No fault, no status, no header and no content that the document does not name, whatever an owner sends."""
    case.query = {**beside, **(case.query or {})}
    case.call_and_validate(base_url=service.url, headers=credentials["owner"], checks=CHECKS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("caller", ["auditor", "member", "nobody"])
@SCHEMA.parametrize()
@SCHEMA.given(beside=UNKNOWN)
@up_to(FEWER, Phase.generate, Phase.shrink)
def test_every_operation_is_as_documented_for_others(
    case: Case, service: Service, credentials: dict[str, dict[str, str]], caller: str, beside: dict[str, str]
) -> None:
    """The same whoever calls: a refusal is documented too."""
    case.query = {**beside, **(case.query or {})}
    case.call_and_validate(base_url=service.url, headers=credentials[caller], checks=CHECKS)
