"""/healthz says that the process lives, /readyz by named checks whether it can do its work now.

Everybody may ask, so the checks speak in fixed words: what an error said is in the log alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from aiohttp import web

from collector.http.appkeys import CAP, LEADERSHIP, NOW, SCHEDULE, SINK, SNAPSHOTS, WRITER
from collector.http.errors import json_response
from collector.http.operation import Operation
from collector.persist.leadership import Leadership
from collector.persist.sink import Sink
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
    """Answer 200 when every check passes that intake depends on, else 503; the body names all checks either way."""
    found = await checks(request.app)
    ready = all(check.ok for check in found if check.needed)
    return json_response(Readiness("ready" if ready else "not ready", found), status=200 if ready else 503)


async def checks(app: web.Application) -> tuple[Check, ...]:
    """Everything that has to be right, with what was found. Behind a stream intake goes on without the rest."""
    sink, writer = app[SINK], app[WRITER]
    behind = (*_store(app), await _database(app[LATENCY]), _rollup(app), _leader(app[LEADERSHIP]))
    if sink is writer:
        return (_queue(sink), *behind)
    stream = Check("stream", sink.works, "it acknowledges" if sink.works else "it does not acknowledge")
    return (stream, _queue(sink), *(msgspec.structs.replace(check, needed=False) for check in behind))


def _queue(sink: Sink) -> Check:
    return Check("queue", sink.has_room, f"{sink.queue_depth} reports and rows wait")


def _store(app: web.Application) -> Iterator[Check]:
    writer = app[WRITER]
    why = f": {writer.failure.said}" if writer.failure.said else ""
    yield Check("store", writer.works, "the last commit succeeded" if writer.works else f"commits fail{why}")
    yield Check("space", app[CAP].state is not StoreState.CLOSED, app[CAP].state.value)


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


def _rollup(app: web.Application) -> Check:
    snapshot, facts = app[SNAPSHOTS].current, app[SCHEDULE].facts["snapshot"]
    if snapshot is None:
        return Check("rollup", False, "the last run failed" if facts.failures_in_a_row else "the first snapshot is being built")
    if snapshot.source is not Source.REPORTS:  # how often another server sends or answers is no fault of this one
        return Check("rollup", facts.failures_in_a_row == 0, "the last run failed" if facts.failures_in_a_row else "it runs")
    age, interval = app[NOW]() - snapshot.collected_at, snapshot.interval_ms
    return Check("rollup", age <= STALE_INTERVALS * interval + 5_000, f"the snapshot is {age / 1000:.0f} s old")
