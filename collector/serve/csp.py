"""/csp/violations: what is blocked, one entry a violation."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.rollup.violation_groups import violation_groups
from collector.rollup.violation_list import violation_query, violations
from collector.rollup.violations import violation
from collector.serve import params
from collector.serve.scope import visible
from collector.wire.errors import NotFound
from collector.wire.records import NoiseClass
from collector.wire.violations import (
    MAX_LIMIT,
    Disposition,
    Noise,
    Sort,
    State,
    ViolationDetail,
    ViolationGroups,
    ViolationPage,
)

DAY_MS = 86_400_000
STEP_S = 300
MAX_STEP_S = 366 * 86_400

TEXT = {"type": "string"}
FILTERS = (
    Param("noise", "what is no fault of the site", {"enum": [noise.value for noise in Noise]}, "`exclude`"),
    Param("project", "the name of a project", TEXT, "all"),
    Param("state", "what was decided", {"enum": [state.value for state in State]}, "all"),
    Param("directive", "an effective directive", TEXT, "all"),
    Param("noise_class", "what the noise comes from, with `noise=only`", {"enum": [each.value for each in NoiseClass]}, "all"),
    Param("kind", "the kind of what was blocked: `origin`, `inline`, `eval`, `overflow`, …", TEXT, "all"),
    Param("origin", "a blocked origin", TEXT, "all"),
    Param("document", "the page it was seen on, a URL without query, or an origin", TEXT, "all"),
    Param("disposition", "what at least one report says", {"enum": [each.value for each in Disposition]}, "all"),
    Param("since", "seen at or after: RFC 3339, or seconds since the epoch", params.MOMENT, "ever"),
    Param("until", "seen before", params.MOMENT, "ever"),
    Param("text", "part of the directive, of what was blocked, of its place or its document, or the whole id", TEXT, "all"),
)
SORT = Param("sort", "what comes first: the largest of it", {"enum": [sort.value for sort in Sort]}, "`first_seen`")
LIMIT = Param("limit", "results of one page", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "100")
AFTER = Param("after", "`next` of the page before", TEXT)
ID = Param("id", "the `id` of a violation", TEXT)
SPAN = (
    Param("since", "the begin: RFC 3339, or seconds since the epoch", params.MOMENT, "a day before `until`"),
    Param("until", "the end", params.MOMENT, "now"),
    Param("step", "seconds, or `30s`, `5m`, `1h`, `7d`; at most 11,000 points", params.SECONDS, "`5m`"),
)


@Operation(answer=ViolationPage, query=(*FILTERS, SORT, LIMIT, AFTER))
async def get_violations(request: web.Request) -> web.Response:
    """One page of violations, of all projects unless filtered."""
    query, scope, now = violation_query(request.query), await visible(request), request.app[NOW]()
    return json_response(
        await request.app[STORE].read(lambda connection: violations(connection, query, now=now, visible=scope))
    )


@Operation(answer=ViolationDetail, path=(ID,), query=SPAN, refuses=(NotFound,))
async def get_violation(request: web.Request) -> web.Response:
    """One violation, what it was seen with, who decided on it, and its reports over time, one point a step."""
    fingerprint, now = request.match_info["id"], request.app[NOW]()
    until = params.moment(request, "until", now)
    since = params.moment(request, "since", until - DAY_MS)
    step = params.seconds(request, "step", STEP_S, low=1, high=MAX_STEP_S)
    scope = await visible(request)
    return json_response(
        await request.app[STORE].read(
            lambda connection: violation(connection, fingerprint, since=since, until=until, step=step, now=now, visible=scope)
        )
    )


@Operation(answer=ViolationGroups, query=(*FILTERS, LIMIT))
async def get_violation_groups(request: web.Request) -> web.Response:
    """What is blocked alike in several projects or places, as one entry; the most reported first."""
    query, scope = violation_query(request.query), await visible(request)
    groups = await request.app[STORE].read(lambda connection: violation_groups(connection, query, visible=scope))
    return json_response(ViolationGroups(groups))
