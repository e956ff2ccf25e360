"""/csp/violations: what is blocked, one entry a violation."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.errors import json_response
from collector.rollup.violations import violation, violation_query, violations
from collector.serve import params

DAY_MS = 86_400_000
STEP_S = 300
MAX_STEP_S = 366 * 86_400


async def get_violations(request: web.Request) -> web.Response:
    """One page of violations, all projects unless filtered; ``next`` is the cursor of the page after it."""
    query = violation_query(request.query)
    return json_response(await request.app[STORE].read(lambda connection: violations(connection, query)))


async def get_violation(request: web.Request) -> web.Response:
    """One violation, its samples, and its reports from ``since`` (a day before ``until``) until ``until`` (now).

    The reports come as one point a ``step`` (5m). 404 when no violation has that id.
    """
    fingerprint = request.match_info["id"]
    until = params.moment(request, "until", request.app[NOW]())
    since = params.moment(request, "since", until - DAY_MS)
    step = params.seconds(request, "step", STEP_S, low=1, high=MAX_STEP_S)
    return json_response(
        await request.app[STORE].read(
            lambda connection: violation(connection, fingerprint, since=since, until=until, step=step)
        )
    )
