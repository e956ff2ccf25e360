"""What the collector has of a page's violations, waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browsers.site import Site
from tests.service import Service

WITHIN = 60.0  # seconds; a browser takes 3 to 10, more on a busy machine
SILENCE = 1.5  # seconds without a report: what comes twice comes within half a second


async def until(reached: Callable[[], bool], log: Path, missing: Callable[[], object]) -> None:
    """Wait until ``reached`` says so, or fail with what is ``missing`` and what the browser printed into ``log``."""
    deadline = time.monotonic() + WITHIN
    while not await asyncio.to_thread(reached):
        if time.monotonic() > deadline:
            printed = await asyncio.to_thread(log.read_text, errors="replace")
            pytest.fail(f"not within {WITHIN} s: {missing()}\n{printed[-2000:]}")
        await asyncio.sleep(0.2)  # the browser sends when it likes


async def listed(service: Service, site: Site, log: Path, *, lost: int = 0) -> list[dict[str, Any]]:
    """The violations, once they have as many reports as the page provokes less those that are ``lost``, and no more come."""
    results: list[dict[str, Any]] = []
    reports, since = 0, time.monotonic()

    def arrived() -> bool:
        nonlocal reports, since
        results[:] = service.get("/api/v2/csp/violations?noise=include&limit=1000")["results"]
        before, reports = reports, sum(violation["count"] for violation in results)
        if reports != before:
            since = time.monotonic()
        return reports >= len(site.provoked) - lost and time.monotonic() - since > SILENCE

    await until(arrived, log, lambda: site.provoked - {what(violation) for violation in results})
    return results


def what(violation: dict[str, Any]) -> tuple[str, str, str | None]:
    """Directive, kind and origin of what was blocked."""
    return violation["effective_directive"], violation["blocked_kind"], violation["blocked_origin"]
