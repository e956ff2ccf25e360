"""The answers that the API page shows, and how an answer of ours differs from them."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

from tests.inside import Inside

PAGE: dict[str, Any] = json.loads((Path(__file__).parent / "payloads/general-api.examples.json").read_text())
# The page writes an object with any keys by naming two; so that they are there, they are set.
SET = {"CODER_EXPERIMENTS": "example", "CODER_SSH_CONFIG_OPTIONS": "property1=string,property2=string"}
OPEN = ("annotations", "value")  # maps from any text, and values of any type


def differences(page: Any, found: Any, where: str = "") -> list[str]:
    """Every place where ``found`` lacks a key of the page, or holds another JSON type; each element of a list is judged."""
    if type(page) is not type(found):
        return [f"{where}: {type(found).__name__} for {type(page).__name__}"]
    if isinstance(page, list):
        return [line for item in found for line in differences(page[0], item, f"{where}[]")]
    if not isinstance(page, dict):
        return []
    missing = [f"{where}.{key}: missing" for key in page if key not in found]
    inner = [key for key in page if key in found and key not in OPEN]
    return missing + [line for key in inner for line in differences(page[key], found[key], f"{where}.{key}")]


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
    """Where the answers of the ten operations differ in shape from the page."""
    assert len(answers) == 10
    # The page shows no answer to a report; the real server's is this text.
    assert answers["POST /csp/reports"] == "ok"
    shown = [operation for operation in answers if operation != "POST /csp/reports"]
    return [line for operation in shown for line in differences(PAGE[operation], answers[operation], operation)]
