"""Every operation keeps what its OpenAPI document says, whatever it is sent and whoever asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
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
from collector.routes import ROUTES
from collector.serve.openapi import document
from tests.service import ROOT, Service, run_service

SCHEMA = schemathesis.openapi.from_dict(document(ROUTES, VERSION, config_type()))
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

Case = schemathesis.Case[Any]

# Parameters that nobody documented: an operation without any of its own would be asked once.
UNKNOWN = st.dictionaries(st.text(min_size=1), st.text(), max_size=3)


@schemathesis.serializer("application/csp-report")
def as_json(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """What browsers send under that name."""
    return json.dumps(value).encode()


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
