"""What every answer is signed with, whoever makes it."""

from __future__ import annotations

# aiohttp would name itself and Python, with their versions: whoever looks for a hole in them need not be told.
SERVER = "collector"


def signature(version: str) -> dict[str, str]:
    """The headers of every answer of this version of the service."""
    return {
        "Server": SERVER,
        "X-Content-Type-Options": "nosniff",
        "X-Coder-Build-Version": version,
        # Nearly all depend on who asks, and a cookie, a header or a query may say who that is: no cache on the way knows
        # which. A refusal is no more to be kept: it may name the host that somebody asked for. Static files say otherwise.
        "Cache-Control": "no-store",
    }
