"""`collector sbom`: everything that the service is made of, at its version, under a licence that lets it be passed on."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from importlib import resources
from typing import Any

import pytest

from collector.cli.sbom import DISTRIBUTION, VENDORED, document
from tests.test_house import PYPROJECT, declared, pins

# MIT, BSD, Apache and Python's: what is built of these may be given to anybody under our own.
PERMISSIVE = {
    *("MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "BSD License", "Apache-2.0", "PSF-2.0", "ISC"),
}


@functools.cache
def printed() -> dict[str, Any]:
    """What the command prints."""
    done = subprocess.run([sys.executable, "-m", "collector", "sbom"], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names() -> dict[str, str]:
    """The version of each component."""
    return {component["name"]: component["version"] for component in printed()["components"]}


def test_it_is_the_same_each_time() -> None:
    """Of the same versions the same document, its serial number too: a changed one is a changed part."""
    assert printed() == document()
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", printed()["serialNumber"])
    assert (printed()["bomFormat"], printed()["specVersion"]) == ("CycloneDX", "1.6")


def test_it_names_what_is_pinned() -> None:
    """All that the service depends on is in it, at the pinned version, and nothing of what only tests need."""
    packages = {name: version for name, version in names().items() if name not in {each.name for each in VENDORED}}
    runtime = {line.partition("[")[0].partition(">")[0] for line in PYPROJECT["project"]["dependencies"]}

    assert {name: pins().get(name) for name in packages} == packages
    assert runtime <= set(packages)
    assert not {"pytest", "hypothesis", "ruff", "playwright"} & set(packages)
    assert len(declared()) > len(runtime)
    assert printed()["metadata"]["component"]["name"] == DISTRIBUTION


def test_every_reference_leads_somewhere() -> None:
    """What depends on what is said by names that are in it, and every part is needed by one that is."""
    refs = {component["bom-ref"] for component in [*printed()["components"], printed()["metadata"]["component"]]}
    needed = {ref for each in printed()["dependencies"] for ref in each["dependsOn"]}

    assert {each["ref"] for each in printed()["dependencies"]} <= refs
    assert needed == refs - {printed()["metadata"]["component"]["bom-ref"]}


def test_every_licence_is_permissive() -> None:
    """Each part says its licence, and of each that it names there is none that asks more than to be named."""
    refused = {}
    for component in printed()["components"]:
        said = [
            choice.get("expression") or choice["license"].get("id") or choice["license"]["name"]
            for choice in component["licenses"]
        ]
        parts = {part for text in said for part in re.split(r" AND | OR |[()]", text) if part}
        if not parts or parts - PERMISSIVE:
            refused[component["name"]] = said

    assert refused == {}


@pytest.mark.parametrize("each", VENDORED, ids=lambda each: each.name)
def test_a_script_is_of_the_version_that_is_said(each: Any) -> None:
    """Its own file names it."""
    text = (resources.files("collector.pages") / "static").joinpath(*each.file.split("/")).read_text()
    assert re.search(rf'[v"]{re.escape(each.version)}\b', text)
