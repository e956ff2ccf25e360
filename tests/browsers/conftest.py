"""A browser and a collector for each test: both are real, both are new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browsers.browser import BROWSERS
from tests.certificates import Authority, Pair
from tests.postgres import free_port
from tests.requirements import program
from tests.service import Service, run_service


@pytest.fixture(params=sorted(BROWSERS))
def browser(request: pytest.FixtureRequest) -> str:
    """The name of a browser that is on this machine, once for each that we know."""
    name: str = request.param
    program(name)
    return name


@pytest.fixture
def service(browser: str, tmp_path: Path) -> Iterator[Service]:  # noqa: ARG001 - without a browser none is started
    """A collector that nobody has reported to yet."""
    with run_service(tmp_path) as running:
        yield running


@dataclass
class Secured:
    """What serves https: the options of a collector that does so at ``url``, and the certificate of a site."""

    authority: Path  # who signed both, in PEM
    pair: Pair
    url: str
    options: dict[str, str]


@pytest.fixture
def secured(tmp_path: Path) -> Secured:
    """An authority that nobody trusts yet, and certificates for 127.0.0.1 that it signed."""
    program("certutil")
    authority = Authority(tmp_path)
    pair, address = authority.pair("localhost", ["localhost"]), f"127.0.0.1:{free_port()}"
    options = {
        "CODER_TLS_ENABLE": "true",
        "CODER_TLS_ADDRESS": address,
        "CODER_TLS_CERT_FILE": str(pair.certificate),
        "CODER_TLS_KEY_FILE": str(pair.key),
    }
    return Secured(authority.file, pair, f"https://{address}", options)
