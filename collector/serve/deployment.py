"""/deployment: what its clients write into their SSH configuration, its newest snapshot, and the snapshots before that."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import DEPLOYMENT, NOW, SNAPSHOTS, SSH, STORE
from collector.http.errors import json_response
from collector.http.operation import Operation, Param
from collector.rollup.history import MAX_STEP, history, nice_step
from collector.rollup.snapshot import deployment_stats
from collector.serve import params
from collector.wire.deployment import DeploymentStats, SshConfig, StatsHistory
from collector.wire.errors import NotReady

DAY_MS = 86_400_000
USUAL_INTERVAL_MS = 30_000  # until a snapshot says what the interval is

SPAN = (
    Param("from", "the begin: RFC 3339, or seconds since the epoch", params.MOMENT, "a day before `to`"),
    Param("to", "the end", params.MOMENT, "now"),
    Param("step", "seconds, or `30s`, `5m`, `1h`, `7d`; at most 2,000 points", params.SECONDS, "some 300 points"),
)


@Operation(answer=SshConfig)
async def get_ssh(request: web.Request) -> web.Response:
    """What clients write into their SSH configuration to reach workspaces. The same for as long as the service runs."""
    return json_response(request.app[SSH])


@Operation(answer=DeploymentStats, refuses=(NotReady,))
async def get_stats(request: web.Request) -> web.Response:
    """The newest snapshot; 400 until there is one."""
    snapshot = request.app[SNAPSHOTS].current
    if snapshot is None:
        raise NotReady("Deployment stats are still processing!")
    return json_response(deployment_stats(snapshot))


@Operation(answer=StatsHistory, query=SPAN)
async def get_stats_history(request: web.Request) -> web.Response:
    """Snapshots over time, one point a step, oldest first."""
    snapshot = request.app[SNAPSHOTS].current
    interval = snapshot.next_update_at - snapshot.collected_at if snapshot else USUAL_INTERVAL_MS
    until = params.moment(request, "to", request.app[NOW]())
    since = params.moment(request, "from", until - DAY_MS)
    step = params.seconds(request, "step", nice_step(since, max(until, since), interval), low=1, high=MAX_STEP)
    deployment = request.app[DEPLOYMENT]
    answer = await request.app[STORE].read(
        lambda connection: history(connection, deployment, since=since, until=until, step_seconds=step)
    )
    return json_response(answer)
