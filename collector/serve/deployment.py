"""/deployment: what its clients write into their SSH configuration, its newest snapshot, and the snapshots before that."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import DEPLOYMENT, NOW, SNAPSHOTS, SSH, STORE
from collector.http.errors import json_response
from collector.http.operation import JSON, Operation, Param
from collector.persist.deployments import is_deployment
from collector.rollup.history import MAX_STEP, USUAL_INTERVAL_MS, Span, history, nice_step
from collector.rollup.snapshot import deployment_stats
from collector.rollup.sources import is_known
from collector.rollup.workspace_groups import group_history
from collector.serve import params
from collector.serve.stats_rows import csv_text, rows
from collector.wire.deployment import DeploymentStats, SshConfig, StatsHistory
from collector.wire.errors import NotFound, NotReady
from collector.wire.workspace_groups import GroupHistory

DAY_MS = 86_400_000
FORMATS = ("json", "rows", "csv")  # the first is the default
AS_FILE = {"Content-Disposition": 'attachment; filename="stats-history.csv"'}

DEPLOYMENT_ID = Param(
    "deployment",
    "the id of a deployment",
    {"type": "string"},
    "the collector's own once it has reports or workspaces, else the only other one",
)
FROM_TO = (
    Param("from", "the begin: RFC 3339, or seconds since the epoch", params.MOMENT, "a day before `to`"),
    Param("to", "the end", params.MOMENT, "now"),
)
SPAN = (
    *FROM_TO,
    Param("step", "seconds, or `30s`, `5m`, `1h`, `7d`; at most 2,000 points", params.SECONDS, "some 300 points"),
    Param("format", "`json`, `rows` (flat, times in ms) or `csv` (the same rows)", params.text_of(FORMATS), "`json`"),
)


@Operation(answer=SshConfig)
async def get_ssh(request: web.Request) -> web.Response:
    """What clients write into their SSH configuration to reach workspaces. The same for as long as the service runs."""
    return json_response(request.app[SSH])


@Operation(
    answer=DeploymentStats,
    headers={"X-Collector-Source": "What it was made from: reports, upstream or telemetry."},
    query=(DEPLOYMENT_ID,),
    refuses=(NotReady, NotFound),
)
async def get_stats(request: web.Request) -> web.Response:
    """The newest snapshot of a deployment; 400 until there is one."""
    snapshot = request.app[SNAPSHOTS].of.get(await deployment_of(request))
    if snapshot is None:
        raise NotReady("Deployment stats are still processing!")
    response = json_response(deployment_stats(snapshot))
    # The body is Coder's shape, which has no place for it.
    response.headers["X-Collector-Source"] = snapshot.source.value
    return response


@Operation(
    answer=StatsHistory | list[dict[str, int | float | str | None]],
    media=(JSON, "text/csv"),
    query=(DEPLOYMENT_ID, *SPAN),
    refuses=(NotFound,),
)
async def get_stats_history(request: web.Request) -> web.Response:
    """Snapshots over time, one point a step, oldest first. The step is longer than asked for where time is known no finer."""
    snapshots, deployment = request.app[SNAPSHOTS], await deployment_of(request)
    snapshot = snapshots.of.get(deployment)
    interval = snapshot.interval_ms if snapshot else USUAL_INTERVAL_MS
    since, until = span_of(request)
    step = params.seconds(request, "step", nice_step(since, max(until, since), interval), low=1, high=MAX_STEP)
    span = Span(deployment, since, until, source=snapshots.source_of(deployment))
    form = params.choice(request, "format", FORMATS)
    answer = await request.app[STORE].read(
        lambda connection: history(connection, span, step_seconds=step, interval_ms=interval)
    )
    if form == "csv":
        return web.Response(text=csv_text(answer), content_type="text/csv", charset="utf-8", headers=AS_FILE)
    return json_response(list(rows(answer)) if form == "rows" else answer)


@Operation(answer=GroupHistory, query=(DEPLOYMENT_ID, *FROM_TO), refuses=(NotFound,))
async def get_workspaces(request: web.Request) -> web.Response:
    """Workspaces by the hour, organization, template, and whether they wait to be claimed: of Coder servers that are asked."""
    deployment, (since, until) = await deployment_of(request), span_of(request)
    answer = await request.app[STORE].read(lambda connection: group_history(connection, deployment, since=since, until=until))
    return json_response(answer)


def span_of(request: web.Request) -> tuple[int, int]:
    """The ``from`` and ``to`` of ``request`` in milliseconds: the last day, when neither is said."""
    until = params.moment(request, "to", request.app[NOW]())
    return params.moment(request, "from", until - DAY_MS), until


async def deployment_of(request: web.Request) -> str:
    """The deployment that the request names, else the one that answers when nobody names one.

    Raises:
        NotFound: no deployment has the id that it names.
    """
    app, named = request.app, request.query.get("deployment", "")
    if not named:
        current = app[SNAPSHOTS].current
        return app[DEPLOYMENT] if current is None else current.deployment
    if named == app[DEPLOYMENT] or named in app[SNAPSHOTS].of:
        return named
    # One that nothing comes of any more still has its history.
    if not is_deployment(named) or not await app[STORE].read(lambda connection: is_known(connection, named)):
        raise NotFound("No such deployment.", "Nothing has been received or read of it.")
    return named
