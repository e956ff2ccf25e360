"""A stand-in of a Coder server on a clock of its own: it makes snapshots, and fails in the ways that servers fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

DEPLOYMENT = "8c3e1d52-94a7-4f0e-8a5a-2b1f3b9a7c11"
TOKEN = "abcdefghij-0123456789abcdefghijkl"
INTERVAL_MS = 30_000
READY_MS = 200  # that the queries of a snapshot take


@dataclass
class Clock:
    """Milliseconds since the epoch, moved by the test."""

    now: int

    def __call__(self) -> int:
        return self.now


@dataclass
class Coder:
    """Answers like a server that began at ``began``; ``made`` is every snapshot that it was up long enough to make."""

    clock: Clock
    began: int
    made: list[int] = field(default_factory=list)  # collected_at, ms
    asked: int = 0
    version: str = "v2.30.0+7d5cd06"
    capital: bool = True  # P50, as servers write it; else p50, as their documentation does
    ahead_ms: int = 0  # of its clock
    zone: str = "Z"
    drops: int = 0  # connections that it closes without an answer
    delays_ms: list[int] = field(default_factory=list)  # of the next answers
    elsewhere: str = ""  # where it redirects to
    down: bool = False
    workspaces: list[dict[str, Any]] = field(default_factory=list)  # that the token's user may see
    unseen: int = 0  # running ones that it may not

    def work(self) -> None:
        """Make what was due until now."""
        while not self.down and (due := self._next()) <= self.clock.now:
            self.made.append(due)

    def stop(self) -> None:
        """End, with all that was in memory."""
        self.work()
        self.down = True

    def start(self) -> None:
        """Begin anew, with ticks counted from now."""
        self.began, self.down = self.clock.now, False

    def _next(self) -> int:
        first = self.began + READY_MS
        newest = self.made[-1] if self.made and self.made[-1] >= first else None
        return first if newest is None else newest + INTERVAL_MS

    def routes(self) -> web.Application:
        """The application to serve."""
        app = web.Application()
        app.router.add_get("/api/v2/deployment/stats", self.stats)
        app.router.add_get("/api/v2/buildinfo", self.buildinfo)
        app.router.add_get("/api/v2/workspaces", self.listed)
        return app

    async def stats(self, request: web.Request) -> web.StreamResponse:
        """The newest snapshot, or what goes wrong."""
        self.asked += 1
        if self.elsewhere:
            raise web.HTTPFound(self.elsewhere)
        if self.down or self.drops:
            self.drops = max(0, self.drops - 1)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if request.headers.get("Coder-Session-Token") != TOKEN:
            return web.json_response(
                {"message": "Cookie 'coder_session_token' or query parameter must be provided."}, status=401
            )
        if self.delays_ms:
            self.clock.now += self.delays_ms.pop()
        self.work()
        if not self.made or self.made[-1] < self.began:
            return web.json_response({"message": "Deployment stats are still processing!"}, status=400)
        return self._answer(self._snapshot(self.made[-1]))

    async def buildinfo(self, _request: web.Request) -> web.Response:
        """Who it is."""
        return self._answer({"version": self.version, "deployment_id": DEPLOYMENT, "telemetry": True})

    async def listed(self, request: web.Request) -> web.Response:
        """A page of the workspaces."""
        first, most = int(request.query["offset"]), int(request.query["limit"])
        return self._answer({"workspaces": self.workspaces[first : first + most], "count": len(self.workspaces)})

    def _answer(self, body: dict[str, Any]) -> web.Response:
        date = datetime.fromtimestamp((self.clock.now + self.ahead_ms) // 1000, UTC)
        return web.json_response(body, headers={"Date": format_datetime(date, usegmt=True)})

    def _snapshot(self, at: int) -> dict[str, Any]:
        p50, p95 = ("P50", "P95") if self.capital else ("p50", "p95")
        return {
            "aggregated_from": self._time(at - 900_000, "456789"),
            "collected_at": self._time(at, "001"),
            "next_update_at": self._time(at + INTERVAL_MS, "001"),
            "workspaces": {
                **dict.fromkeys(("pending", "building", "failed", "stopped"), 0),
                "running": (len(self.workspaces) + self.unseen) or len(self.made),
                "connection_latency_ms": {p50: 12.5, p95: -1},
                "rx_bytes": 7_000,
                "tx_bytes": 3_000,
            },
            "session_count": {"vscode": 1, "ssh": 2, "jetbrains": 3, "reconnecting_pty": 4, "apps": {"cursor": 1}},
            "brand_new": [{"key": 1}],
        }

    def _time(self, at: int, finer: str) -> str:
        at += self.ahead_ms
        hours = 0 if self.zone == "Z" else int(self.zone[:3])
        moment = datetime.fromtimestamp(at // 1000 + hours * 3600, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03}{finer}{self.zone}"


def workspace(number: int, status: str = "running", **changes: Any) -> dict[str, Any]:
    """A workspace as the server lists it, in part: agents and resources are left out."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "owner_id": "00000000-0000-4000-8000-0000000000a3",
        "owner_name": "grace",
        "organization_id": "00000000-0000-4000-8000-0000000000a1",
        "organization_name": "coder",
        "template_id": "00000000-0000-4000-8000-0000000000a2",
        "template_name": "docker",
        "latest_build": {"status": status, "transition": "start"},
        "name": f"space-{number}",
        **changes,
    }
