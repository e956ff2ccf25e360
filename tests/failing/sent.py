"""What is sent to a collector for which something fails."""

from __future__ import annotations

import json
from typing import Any

from tests.inside import Inside

AGENT = {
    "agent_id": "2f1e8f0e-6f0a-4f5e-9a55-0c3c2b1f7a11",
    "workspace_id": "f0a7c4a4-9a3b-4f6e-8f7d-1a2b3c4d5e6f",
    "user_id": "7c1f3a4e-51a6-4a8e-8f33-1de0a6c1b2d3",
    "template_id": "0b9d3c7e-2f64-4f0a-b6b5-5d6a7e8f9a0b",
    "stats": {"connection_count": 1, "connection_median_latency_ms": 12.5, "rx_bytes": 10, "tx_bytes": 20},
}


def violation(number: int = 0) -> str:
    """A report of one of seven violations."""
    fields = {
        "document-uri": "https://shop.example/cart",
        "effective-directive": "script-src-elem",
        "original-policy": "default-src 'self'",
        "disposition": "enforce",
        "blocked-uri": f"https://cdn{number % 7}.example/lib.js",
    }
    return json.dumps({"csp-report": fields})


async def brought(collector: Inside, number: int = 0) -> tuple[int, Any]:
    """Status and answer of one more report."""
    return await collector.post(collector.csp_path, violation(number))


async def counted(collector: Inside) -> int:
    """Reports in the database."""
    return sum(int(row["count"]) for row in (await collector.get("/api/v2/csp/violations"))["results"])


async def failing(collector: Inside) -> dict[str, str]:
    """The words of each check of /readyz that does not pass, by its name."""
    async with collector.client.get("/readyz") as response:
        found = (await response.json())["checks"]
        failed = {check["name"]: check["detail"] for check in found if not check["ok"]}
        assert (response.status == 200) == (not failed)
        return failed
