"""/csp/scripts: the scripts that pages load, by their ``csp-hash`` reports."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.rollup.scripts import scripts
from collector.serve import params
from collector.wire.scripts import MAX_LIMIT, ScriptPage, ScriptQuery

QUERY = (
    Param("project", "the name of a project", {"type": "string"}, "all"),
    Param("limit", "results of one page", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "100"),
    Param("after", "`next` of the page before", {"type": "integer", "minimum": 0}),
)


@Operation(answer=ScriptPage, query=QUERY)
async def get_scripts(request: web.Request) -> web.Response:
    """One page of the scripts that pages load, by their `csp-hash` reports, in the order in which they were first seen."""
    query = params.asked(request, ScriptQuery)
    return json_response(await request.app[STORE].read(lambda connection: scripts(connection, query)))
