"""How many examples hypothesis makes: while working a few, in ``make test-all`` as many as a test asks for."""

from __future__ import annotations

import os

ALL = os.environ.get("ALL_EXAMPLES") == "1"
LEAST = 20  # a few are hardly more than the start


def examples(number: int) -> int:
    """So many of the ``number`` that a test asks for."""
    return number if ALL else min(number, max(LEAST, number // 5))
