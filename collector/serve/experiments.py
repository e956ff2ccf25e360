"""/experiments: the names that were enabled, and those that could be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog
from aiohttp import web

from collector.http.appkeys import EXPERIMENTS
from collector.http.errors import json_response
from collector.http.operation import Operation

SAFE: tuple[str, ...] = ()  # this service has no experiments of its own
ALL_SAFE = "*"

log = structlog.get_logger(__name__)


def enabled(names: Iterable[str]) -> Iterator[str]:
    """What ``names`` enable, in lower case; the asterisk is all that are safe. Unknown names stay, as do repetitions."""
    for name in names:
        if name == ALL_SAFE:
            yield from SAFE
            continue
        if name.lower() not in SAFE:
            log.warning("an unknown experiment does nothing", name=name.lower())
        yield name.lower()


@Operation(answer=list[str])
async def get_experiments(request: web.Request) -> web.Response:
    """The experiments that are enabled. Unknown ones, which do nothing, are among them."""
    return json_response(request.app[EXPERIMENTS])


@Operation(answer=list[str])
async def get_available(_request: web.Request) -> web.Response:
    """The experiments that are safe to enable."""
    return json_response(SAFE)
