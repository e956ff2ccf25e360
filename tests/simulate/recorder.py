"""A stand-in for the service on real HTTP: it keeps what arrives, and refuses as often as it is told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

BROWSER_KEY, FEED_KEY = "browserkey", "feedkey"


@dataclass
class Recorder:
    """What arrived, in order. ``refusals`` are statuses to answer the next feed POSTs with; 0 cuts the connection."""

    url: str = ""
    csp: list[tuple[str, Any]] = field(default_factory=list)  # content type, body
    attempts: list[Any] = field(default_factory=list)  # every array of agent rows, refused or not
    agents: list[Any] = field(default_factory=list)  # rows that were taken
    workspaces: dict[str, Any] = field(default_factory=dict)  # the newest row of each
    lines: list[Any] = field(default_factory=list)  # of AI gateways' logs
    refusals: list[int] = field(default_factory=list)
    csp_status: int = 200
    reject: frozenset[int] = frozenset()

    async def take_csp(self, request: web.Request) -> web.Response:
        """The CSP route."""
        assert request.query["key"] == BROWSER_KEY
        self.csp.append((request.content_type, json.loads(await request.read())))
        return web.Response(status=self.csp_status, text="ok")

    async def take_agents(self, request: web.Request) -> web.Response:
        """The agent-stats route."""
        assert request.headers["Authorization"] == f"Bearer {FEED_KEY}"
        rows = json.loads(await request.read())
        self.attempts.append(rows)
        if self.refusals:
            status = self.refusals.pop(0)
            if not status and request.transport:
                request.transport.abort()
            return web.Response(status=status or 500, headers={"Retry-After": "1"})
        self.agents += [row for index, row in enumerate(rows) if index not in self.reject]
        return web.json_response(
            {"accepted": len(rows) - len(self.reject), "rejected": [{"index": i, "error": "no"} for i in self.reject]}
        )

    async def take_workspaces(self, request: web.Request) -> web.Response:
        """The workspaces route."""
        rows = json.loads(await request.read())
        assert len(rows) <= 100
        self.workspaces |= {row["id"]: row for row in rows}
        return web.json_response({"accepted": len(rows), "rejected": []})

    async def take_lines(self, request: web.Request) -> web.Response:
        """The aibridge route."""
        assert request.headers["Authorization"] == f"Bearer {FEED_KEY}"
        lines = [json.loads(line) for line in (await request.read()).splitlines()]
        self.lines += lines
        return web.json_response({"accepted": len(lines), "duplicate": 0, "skipped": 0, "rejected_count": 0, "rejected": []})


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    """Serve a recorder on loopback."""
    recorder = Recorder()
    app = web.Application(client_max_size=2**20)
    app.router.add_post("/api/v2/csp/reports", recorder.take_csp)
    app.router.add_post("/api/v2/ingest/agent-stats", recorder.take_agents)
    app.router.add_post("/api/v2/ingest/workspaces", recorder.take_workspaces)
    app.router.add_post("/api/v2/ingest/aibridge", recorder.take_lines)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield recorder
    finally:
        await runner.cleanup()
