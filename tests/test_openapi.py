"""The OpenAPI document is valid, is the one that is served, and every operation keeps what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
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

from collector.entrance import VERSION
from collector.http.operation import operation_of
from collector.routes import ROUTES
from collector.serve.openapi import document
from tests.inside import Inside
from tests.service import Service, run_service

DOCUMENT = document(ROUTES, VERSION)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
EXAMPLES = 200

# Parameters that nobody documented: an operation without any of its own would be asked once.
UNKNOWN = st.dictionaries(st.text(min_size=1), st.text(), max_size=3)


@schemathesis.serializer("application/csp-report")
def as_json(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """What browsers send under that name."""
    return json.dumps(value).encode()


async def test_the_served_document_is_valid(inside: Inside) -> None:
    """What /api/v2/openapi.json answers is OpenAPI 3.1, to the letter of its specification, and needs no credential."""
    async with inside.client.get("/api/v2/openapi.json") as response:
        served = await response.json()

    assert [error.message for error in OpenAPIV31SpecValidator(served).iter_errors()] == []
    assert set(served["paths"]) == set(DOCUMENT["paths"])


def test_every_route_is_described() -> None:
    """Whatever is no page for people says what goes in and comes out."""
    undescribed = [route for route in ROUTES if operation_of(route.handler) is None]

    assert {route.handler.__module__.split(".")[1] for route in undescribed} == {"pages"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that never says that somebody asks too often."""
    options = {"CODER_DANGEROUS_DISABLE_RATE_LIMITS": "true", "COLLECTOR_INGEST_RATE_LIMIT": "0"}
    with run_service(tmp_path_factory.mktemp("service"), **options) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(600)
@SCHEMA.parametrize()
@SCHEMA.given(beside=UNKNOWN)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_is_as_documented(case: schemathesis.Case[Any], service: Service, beside: dict[str, str]) -> None:
    """No fault, no status and no content that the document does not name, whatever is sent."""
    case.query = {**beside, **(case.query or {})}
    case.call_and_validate(base_url=service.url, headers={"Coder-Session-Token": service.admin_token}, checks=CHECKS)
