"""/deployment/config: what this service runs with. Options do not change while it runs, and so neither does the answer."""

from __future__ import annotations

from aiohttp import web

from collector.http.errors import json_bytes, json_of
from collector.http.operation import Operation
from collector.wire.config import DeploymentConfig

ANSWER: web.AppKey[bytes] = web.AppKey("config answer", bytes)


def answer(config: DeploymentConfig) -> bytes:
    """The body that :func:`get_config` sends."""
    return json_bytes(config)


@Operation(answer=DeploymentConfig)
async def get_config(request: web.Request) -> web.Response:
    """Every option with its value and its source, without secrets."""
    return json_of(request.app[ANSWER])
