"""/api/v2 itself, /buildinfo and /updatecheck: what runs here. Nobody needs to sign in for it."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import BUILD_INFO, UPDATE_CHECK
from collector.http.errors import json_response
from collector.http.operation import Operation
from collector.wire.general import BuildInfo, Greeting, UpdateCheck

HELLO = Greeting("👋")


@Operation(answer=Greeting)
async def get_root(_request: web.Request) -> web.Response:
    """Say hello."""
    return json_response(HELLO)


@Operation(answer=BuildInfo)
async def get_buildinfo(request: web.Request) -> web.Response:
    """What runs here. The same for as long as the service runs."""
    return json_response(request.app[BUILD_INFO])


@Operation(answer=UpdateCheck)
async def get_updatecheck(request: web.Request) -> web.Response:
    """Whether this build is as new as the newest release. Without a check, or while the feed fails, it is."""
    return json_response(await request.app[UPDATE_CHECK]())
