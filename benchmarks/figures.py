"""Figures where they are kept: on the page beside this file, each part between two comments, and in ``results.json``."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
README, RESULTS = HERE / "README.md", HERE / "results.json"


class Plan(NamedTuple):
    """How thoroughly a part measures; ``small`` is for a look on the way: less data, and no figures to keep."""

    rounds: int = 5
    seconds: int = 3
    small: bool = False
    reports: int = 0  # in all, of the part that fills a database; 0: as many as it takes to see something


class Figures(NamedTuple):
    """What a part has measured: a table in Markdown, and the same as values that JSON has."""

    text: str
    data: Any


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and between which the values lie."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def machine() -> str:
    """What they were made with, and when."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d', time.gmtime())}"


def keep(part: str, figures: Figures) -> None:
    """Put them between ``<!-- part -->`` and ``<!-- end of part -->``, and under its name in the file."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    page = README.read_text()
    head, tail = page.partition(begin)[0], page.partition(end)[2]
    README.write_text(f"{head}{begin}{machine()}\n\n{figures.text}\n{end}{tail}")
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept[part] = {"machine": machine(), "measured": figures.data}
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
