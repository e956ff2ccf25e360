"""/csp/violations: what is blocked, one entry a violation."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.rollup.violations import violation, violation_query, violations
from collector.serve import params
from collector.wire.errors import NotFound
from collector.wire.violations import MAX_LIMIT, Noise, ViolationDetail, ViolationPage

DAY_MS = 86_400_000
STEP_S = 300
MAX_STEP_S = 366 * 86_400

LIST = (
    Param("noise", "what is no fault of the site", {"enum": [noise.value for noise in Noise]}, "`exclude`"),
    Param("project", "the name of a project", {"type": "string"}, "all"),
    Param("directive", "an effective directive", {"type": "string"}, "all"),
    Param("limit", "results of one page", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "100"),
    Param("after", "`next` of the page before", {"type": "string"}),
)
ID = Param("id", "the `id` of a violation", {"type": "string"})
SPAN = (
    Param("since", "the begin: RFC 3339, or seconds since the epoch", params.MOMENT, "a day before `until`"),
    Param("until", "the end", params.MOMENT, "now"),
    Param("step", "seconds, or `30s`, `5m`, `1h`, `7d`; at most 11,000 points", params.SECONDS, "`5m`"),
)


@Operation(answer=ViolationPage, query=LIST)
async def get_violations(request: web.Request) -> web.Response:
    """One page of violations, of all projects unless filtered, the newest first."""
    query = violation_query(request.query)
    return json_response(await request.app[STORE].read(lambda connection: violations(connection, query)))


@Operation(answer=ViolationDetail, path=(ID,), query=SPAN, refuses=(NotFound,))
async def get_violation(request: web.Request) -> web.Response:
    """One violation, its samples, and its reports over time, one point a step."""
    fingerprint = request.match_info["id"]
    until = params.moment(request, "until", request.app[NOW]())
    since = params.moment(request, "since", until - DAY_MS)
    step = params.seconds(request, "step", STEP_S, low=1, high=MAX_STEP_S)
    return json_response(
        await request.app[STORE].read(
            lambda connection: violation(connection, fingerprint, since=since, until=until, step=step)
        )
    )
