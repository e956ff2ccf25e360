"""The limit that intake is compared with: an aiohttp handler that reads the body, and answers 200."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web


async def handler(request: web.Request) -> web.Response:
    """Read everything, keep nothing."""
    await request.read()
    return web.Response(body=b'"ok"\n', content_type="application/json")


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    app = web.Application()
    app.router.add_post("/csp/reports", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
