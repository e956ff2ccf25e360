"""POST /api/v2/ingest/workspaces: the state of workspaces and their newest builds, in arrays."""

from __future__ import annotations

from aiohttp import web

from collector.http.operation import Operation
from collector.ingest import intake
from collector.normalize.workspaces import workspaces
from collector.wire.records import Taken
from collector.wire.workspaces import WorkspaceRow


@Operation(answer=Taken, body=list[WorkspaceRow])
async def post_workspaces(request: web.Request) -> web.Response:
    """Upsert workspaces by id; an older build never overwrites a newer one."""
    return await intake.take(request, workspaces)
