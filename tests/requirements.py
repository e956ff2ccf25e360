"""What tests need from the machine: a missing program or package is a loud skip."""

from __future__ import annotations

import importlib
import shutil
from typing import Any

import pytest


def program(name: str) -> str:
    """The path of the program ``name``, itself a name or a path; without it the test is skipped with a loud reason."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} IS NOT INSTALLED: what this test promises is not tested on this machine")
    return found


def module(name: str) -> Any:
    """The module ``name`` of a package that ``make test-all`` alone installs; without it the test is skipped likewise."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(f"{name} IS NOT INSTALLED: what this test promises is not tested on this machine")
