"""The answers that the API page shows, and how an answer of ours differs from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE: dict[str, Any] = json.loads((Path(__file__).parent / "payloads/general-api.examples.json").read_text())
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
