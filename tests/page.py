"""The shapes of the answers of the General API, and how an answer of ours differs from them."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from tests.inside import Inside

_FILE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "payloads/general-api.shapes.yaml").read_text())
SHAPES: dict[str, Any] = _FILE["shapes"]
PAGE: dict[str, Any] = _FILE["operations"]
# Set, so that what may be empty is not, and its elements are compared.
SET = {
    "CODER_EXPERIMENTS": "example",
    "CODER_SSH_CONFIG_OPTIONS": "Port=22,User=ada",
    "CODER_EXTERNAL_AUTH_0_ID": "gh",
    "CODER_EXTERNAL_AUTH_0_SCOPES": "repo",
    "CODER_SUPPORT_LINKS": '[{"name": "Help", "target": "https://help.example"}]',
}
NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object", NoneType: "null"}
EVERY = "*"  # in place of the keys of an object: what all its values are


def differences(shape: Any, found: Any, where: str = "") -> list[str]:
    """Every place where ``found`` lacks a key of ``shape``, or holds another JSON type; each element of a list is judged."""
    if isinstance(shape, str) and shape in SHAPES:
        return differences(SHAPES[shape], found, where)
    name, expected = NAMES[type(found)], shape if isinstance(shape, str) else NAMES[type(shape)]
    if expected not in ("any", name) and (expected, name) != ("number", "integer"):
        return [f"{where}: {name} for {expected}"]
    if isinstance(shape, list):
        return [line for item in found for line in differences(shape[0], item, f"{where}[]")]
    if not isinstance(shape, dict):
        return []
    if EVERY in shape:
        shape = dict.fromkeys(found, shape[EVERY])
    missing = [f"{where}.{key}: missing" for key in shape if key not in found]
    return missing + [line for key in shape if key in found for line in differences(shape[key], found[key], f"{where}.{key}")]


async def answer_of(inside: Inside, operation: str, base: str = "", tls: ssl.SSLContext | None = None) -> Any:
    """What the operation answers an owner, which must be a 200."""
    method, path = operation.split()
    url = base + "/api/v2" + path.replace("{user}", "me") + (f"?key={inside.secrets.browser_key}" if method == "POST" else "")
    body = b'{"csp-report":{}}' if method == "POST" else None
    async with inside.client.request(method, url, data=body, headers=inside.owner, ssl=tls or True) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        return await response.json()


def misshapen(answers: dict[str, Any]) -> list[str]:
    """Where the answers of the ten operations differ from their shapes."""
    assert len(answers) == 10
    assert answers["POST /csp/reports"] == "ok"
    return [line for operation in answers for line in differences(PAGE[operation], answers[operation], operation)]
