"""Figures on the page beside this file: each benchmark has a place of its own there, between two comments."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


def machine() -> str:
    """What they were made with, and when."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d', time.gmtime())}"


def keep(place: str, text: str) -> None:
    """Put ``text`` between ``<!-- place -->`` and ``<!-- end of place -->``, below what it was made with."""
    begin, end = f"<!-- {place} -->\n", f"<!-- end of {place} -->"
    page = README.read_text()
    head, tail = page.partition(begin)[0], page.partition(end)[2]
    README.write_text(f"{head}{begin}{machine()}\n\n{text}\n{end}{tail}")
