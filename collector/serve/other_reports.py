"""/csp/other-reports: what browsers send to the CSP intake that is not about CSP."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.rollup.other_reports import other_reports
from collector.serve import params
from collector.wire.other_reports import OtherReportsPage, OtherReportsQuery

PROJECT = Param("project", "the name of a project", {"type": "string"}, "all")
TYPE = Param("type", "the type of a report: `deprecation`, `network-error`, …", {"type": "string"}, "all")


@Operation(answer=OtherReportsPage, query=(PROJECT, TYPE))
async def get_other_reports(request: web.Request) -> web.Response:
    """What browsers report beside CSP, counted by project and type, with some of each."""
    asked = params.asked(request, OtherReportsQuery)
    return json_response(await request.app[STORE].read(lambda c: other_reports(c, project=asked.project, type_=asked.type)))
