"""A browser and a collector for each test: both are real, both are new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browsers.browser import BROWSERS
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
