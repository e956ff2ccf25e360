"""/healthz says that the process lives, /readyz by named checks whether it can do its work now.

Everybody may ask, so the checks speak in fixed words: what an error said is in the log alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from collector.http.appkeys import CAP, LEADERSHIP, NOW, SCHEDULE, SNAPSHOTS, WRITER
from collector.http.errors import json_response
from collector.http.operation import Operation
from collector.persist.leadership import Leadership
from collector.rollup.store_cap import StoreState
from collector.serve.latency import LATENCY, Latency
from collector.wire.deployment import Source
from collector.wire.health import Check, Readiness

STALE_INTERVALS = 3  # one rollup may fail or be slow; three in a row are news


@Operation(media=("text/plain",))
async def get_healthz(_request: web.Request) -> web.Response:
    """Answer "OK" for as long as the event loop turns."""
    return web.Response(text="OK\n")


@Operation(answer=Readiness, others={503: Readiness})
async def get_readyz(request: web.Request) -> web.Response:
    """Answer 200 when every check passes, else 503; the body names the checks either way."""
    found = await checks(request.app)
    ready = all(check.ok for check in found)
    return json_response(Readiness("ready" if ready else "not ready", found), status=200 if ready else 503)


async def checks(app: web.Application) -> tuple[Check, ...]:
    """Everything that has to be right, with what was found."""
    return (*_checks(app), await _database(app[LATENCY]))


async def _database(latency: Latency) -> Check:
    """A slow database is said, but still does its work."""
    median = await latency.median()
    if median is None:
        return Check("database", False, "it does not answer")
    slow = ", which is slow" if median > latency.threshold else ""
    return Check("database", True, f"it answers within {median * 1000:.1f} ms{slow}")


def _leader(leadership: Leadership) -> Check:
    """Who leads. It is no fault of a replica that another one has to take over, so this never fails."""
    seen, own = leadership.seen, leadership.holder
    if leadership.leads and seen is not None:
        return Check("leader", True, f"this replica, {own}, leads in epoch {seen.epoch}")
    if seen is None or not seen.is_held or seen.holder == own:
        return Check("leader", True, f"nobody leads as far as this replica, {own}, knows")
    return Check("leader", True, f"{seen.holder} leads in epoch {seen.epoch}, this replica is {own}")


def _checks(app: web.Application) -> Iterator[Check]:
    writer = app[WRITER]
    if writer.failure.since is None:
        yield Check("store", True, "the last commit succeeded")
    else:
        yield Check("store", False, "commits fail")
    yield Check("queue", writer.has_room, f"{writer.queue_depth} reports and rows wait")
    yield Check("space", app[CAP].state is not StoreState.CLOSED, app[CAP].state.value)
    yield _leader(app[LEADERSHIP])
    snapshot, facts = app[SNAPSHOTS].current, app[SCHEDULE].facts["snapshot"]
    if snapshot is None:
        failed = facts.failures_in_a_row > 0
        yield Check("rollup", False, "the last run failed" if failed else "the first snapshot is being built")
        return
    if snapshot.source is not Source.REPORTS:  # how often another server sends or answers is no fault of this one
        yield Check("rollup", facts.failures_in_a_row == 0, "the last run failed" if facts.failures_in_a_row else "it runs")
        return
    age, interval = app[NOW]() - snapshot.collected_at, snapshot.interval_ms
    yield Check("rollup", age <= STALE_INTERVALS * interval + 5_000, f"the snapshot is {age / 1000:.0f} s old")
