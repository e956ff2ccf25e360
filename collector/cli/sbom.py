"""``collector sbom``: what this installation is made of, as CycloneDX says it, from the metadata of what is installed."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from importlib import metadata, resources
from typing import Any, NamedTuple

from collector.cli.command import Subcommands

DISTRIBUTION = "csp-coder-collector"
SPEC = "1.6"
NAMESPACE = uuid.UUID("6f0f6a54-8f0a-5b52-9d3e-2b6f0f7c9a11")  # of serial numbers: the same parts have the same one

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)['\"]")
# How those call their licence that do not use the names of SPDX yet; what is not here is shown as it stands.
_SPDX = {
    "Apache 2 License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
_NAME = re.compile(r"[A-Za-z0-9.-]+")


class Vendored(NamedTuple):
    """A script that is part of the package itself: its name and version at npm, its licence, and its file."""

    name: str
    version: str
    licence: str
    file: str


VENDORED = (
    Vendored("swagger-ui-dist", "5.35.0", "Apache-2.0", "vendor/swagger-ui/swagger-ui-bundle.js"),
    Vendored("uplot", "1.6.32", "MIT", "vendor/uplot/uPlot.iife.min.js"),
)


def add(commands: Subcommands) -> None:
    """Declare the command."""
    sbom = commands.add_parser("sbom", help="print what this installation is made of, as CycloneDX")
    sbom.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Print the document."""
    print(json.dumps(document(), indent=2))
    return 0


def document() -> dict[str, Any]:
    """The bill of materials: this package, what it needs, and what needs what; the same for the same versions."""
    needs = dict(_needed())
    vendored = [_vendored(each) for each in VENDORED]
    components = [*(_component(name) for name in sorted(needs) if name != DISTRIBUTION), *vendored]
    needed = {_ref(name): sorted(map(_ref, others)) for name, others in sorted(needs.items())}
    needed[_ref(DISTRIBUTION)] += [each["bom-ref"] for each in vendored]
    body = {
        "metadata": {"component": _component(DISTRIBUTION) | {"type": "application"}},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": others} for ref, others in needed.items()],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(body, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": SPEC, "serialNumber": f"urn:uuid:{serial}", "version": 1, **body}


def _needed() -> Iterator[tuple[str, set[str]]]:
    """Every installed distribution that this one needs, itself first, each with those that it asks for."""
    waiting, extras, done = [DISTRIBUTION], dict[str, set[str]](), dict[str, set[str]]()
    while waiting:
        name = waiting.pop()
        asked = done[name] = set()
        for line in metadata.requires(name) or ():
            spec, _, marker = line.partition(";")
            wanted = _EXTRA.findall(marker)
            match = _REQUIREMENT.match(spec)
            if match is None or (wanted and extras.get(name, set()).isdisjoint(wanted)):
                continue
            other = _canonical(match[1])
            if not _is_installed(other):  # of another system, or of another Python
                continue
            asked.add(other)
            more = {extra.strip() for extra in (match[2] or "").split(",") if extra.strip()} - extras.get(other, set())
            extras.setdefault(other, set()).update(more)
            if (other not in done or more) and other not in waiting:
                waiting.append(other)
    yield from done.items()


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _ref(name: str) -> str:
    return f"pkg:pypi/{name}@{metadata.version(name)}"


def _component(name: str) -> dict[str, Any]:
    ref = _ref(name)
    found = {"type": "library", "bom-ref": ref, "name": name, "version": metadata.version(name), "purl": ref}
    return found | {"licenses": [_choice(text) for text in licences(name)]}


def licences(name: str) -> list[str]:
    """What a distribution says of its licence: one SPDX expression, or the names that its metadata have."""
    about = metadata.metadata(name)
    if "License-Expression" in about:
        return [about["License-Expression"]]
    classified = [line.rpartition("::")[2].strip() for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    text = about["License"].strip() if "License" in about else ""
    return sorted({_SPDX.get(found, found) for found in classified or [text] if found})


def _choice(text: str) -> dict[str, Any]:
    if " " not in text and _NAME.fullmatch(text):
        return {"license": {"id": text}}
    return {"expression": text} if re.search(r" (AND|OR|WITH) ", text) else {"license": {"name": text}}


def _vendored(each: Vendored) -> dict[str, Any]:
    ref = f"pkg:npm/{each.name}@{each.version}"
    body = (resources.files("collector.pages") / "static").joinpath(*each.file.split("/")).read_bytes()
    hashes = [{"alg": "SHA-256", "content": hashlib.sha256(body).hexdigest()}]
    found = {"type": "library", "bom-ref": ref, "name": each.name, "version": each.version, "hashes": hashes}
    return found | {"licenses": [_choice(each.licence)], "purl": ref}
