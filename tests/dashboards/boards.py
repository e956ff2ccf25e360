"""The boards as Grafana loads them, and what a test asks of their expressions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

DIRECTORY = Path(__file__).resolve().parents[2] / "dashboards" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_bytes()) for file in sorted(DIRECTORY.glob("*.json"))}

# What Grafana puts in the place of its own variables; here for scrapes that are a second apart.
BUILT_IN = {"__rate_interval": "15s", "__interval": "1s", "__range": "60s", "__range_s": "60"}


class Question(NamedTuple):
    """One expression of a board."""

    board: str
    panel: str
    ref: str
    expr: str

    @property
    def name(self) -> str:
        """How a test is called that asks it."""
        return f"{self.board}: {self.panel}, {self.ref}"


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, also those that lie in a row that is folded; the rows themselves are none."""
    for panel in board["panels"]:
        yield from panel.get("panels", []) if panel["type"] == "row" else [panel]


def questions() -> list[Question]:
    """Every expression of every board."""
    return [
        Question(uid, panel["title"], target["refId"], target["expr"])
        for uid, board in BOARDS.items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """``expr`` with the variables replaced; longer names first, since one may begin with another."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${name}", values[name])
    return expr
