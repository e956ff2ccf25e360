"""/metrics: the current snapshot, the running sums and the service's own health, as Prometheus reads them.

``/metrics/deployment`` and ``/metrics/replica`` are its halves: of several replicas one gives the first, every one the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from collector.http.appkeys import AI_USE, CANARY_AT, CAP, COUNTED, LEADERSHIP, NOISE, NOW, SCHEDULE, SNAPSHOTS, STORE, WRITER
from collector.http.operation import Operation
from collector.persist.measured import MeasuredStore
from collector.rollup.agentmetrics import Series
from collector.rollup.coder_metrics import CoderMoment
from collector.serve import accept, families
from collector.serve.coder_families import Wanted, capped, deployment_series, forwarded_series
from collector.serve.collected import Collected, collected_series
from collector.serve.exposition import EOF, Bodies, Body, Format, Sampled, answer, bodies, body
from collector.serve.gathered import Key
from collector.serve.last_read import LastRead
from collector.serve.process import Process, replica_registry
from collector.wire.identity import Agent

Sent = Sequence[tuple[Agent, Sequence[Series]]]

MEDIA = ("text/plain", "application/openmetrics-text")
HEADERS = {"Content-Encoding": "`gzip` where `Accept-Encoding` names it."}


class Coder(NamedTuple):
    """Metrics under Coder's names as they were last rendered, and how many series of each family were too many."""

    deployment: Bodies
    replica: Bodies
    left_out: dict[str, int]


NOTHING = Coder({}, {}, {})


class Exporter:
    """What has been rendered, all of it on a thread: the event loop goes on meanwhile.

    Metrics under Coder's names are rendered when they are made, once a snapshot. What is said of the deployments beside
    them is rendered when a scrape finds it changed, and what the process says of itself each time.
    """

    def __init__(self, last_read: LastRead) -> None:
        self.coder = NOTHING
        self.last_read = last_read
        self._turn = asyncio.Lock()  # however many scrape at once, one thread is busy with it
        self._collected: tuple[Collected, Bodies] | None = None

    async def keep_coder(self, moment: CoderMoment, sent: Sent, wanted: Wanted, username: Callable[[Agent], str]) -> None:
        """Serve this under Coder's names from now on: a moment of a deployment, and what its agents send to this replica."""
        self.coder = await asyncio.to_thread(_rendered, moment, sent, wanted, username)

    async def answer(self, moment: Collected | None, process: Process | None, format_: Format, *, compressed: bool) -> bytes:
        """The halves that are given, in one format."""
        async with self._turn:
            coder = self.coder
            return await asyncio.to_thread(self._answer, coder, moment, process, format_, compressed=compressed)

    def _answer(
        self, coder: Coder, moment: Collected | None, process: Process | None, format_: Format, *, compressed: bool
    ) -> bytes:
        parts: list[Body] = []
        if moment is not None:
            parts += [*_of(coder.deployment, format_), self._deployment(moment._replace(age_ms=None))[format_]]
            parts += _of(_age(moment.age_ms), format_)
        if process is not None:
            parts += [body(_encoded(replica_registry(process), format_)), *_of(coder.replica, format_)]
        if format_ is Format.OPENMETRICS:
            parts.append(body(EOF))
        return answer(parts, compressed=compressed)

    def _deployment(self, collected: Collected) -> Bodies:
        if self._collected is None or self._collected[0] != collected:
            self._collected = collected, bodies(collected_series(collected))
        return self._collected[1]


EXPORTER: web.AppKey[Exporter] = web.AppKey("exporter", Exporter)
# What the workers of this process have counted; None: there are none.
GATHERED: web.AppKey[Callable[[], Awaitable[dict[str, dict[Key, float]]]] | None] = web.AppKey("gathered", object)  # type: ignore[arg-type]


@Operation(media=MEDIA, headers=HEADERS)
async def get_metrics(request: web.Request) -> web.Response:
    """All metrics for Prometheus, as text or as OpenMetrics by what `Accept` asks for."""
    return await _scraped(request, await collected(request.app), await _process(request.app))


@Operation(media=MEDIA, headers=HEADERS)
async def get_deployment_metrics(request: web.Request) -> web.Response:
    """The metrics that do not depend on which replica is asked: of several, scrape one."""
    return await _scraped(request, await collected(request.app), None)


@Operation(media=MEDIA, headers=HEADERS)
async def get_replica_metrics(request: web.Request) -> web.Response:
    """The metrics of this process alone: of several replicas scrape each, and add them up."""
    return await _scraped(request, None, await _process(request.app))


async def _scraped(request: web.Request, moment: Collected | None, process: Process | None) -> web.Response:
    accepted = request.headers.get("Accept", "")
    preferred = accept.quality(accepted, "application/openmetrics-text", version="1.0.0")
    format_ = Format.OPENMETRICS if preferred > 0 and preferred >= accept.quality(accepted, "text/plain") else Format.TEXT
    compressed = accept.quality(request.headers.get("Accept-Encoding", ""), "gzip", "x-gzip") > 0
    content = await request.app[EXPORTER].answer(moment, process, format_, compressed=compressed)
    # A charset parameter is part of the type that Prometheus 3 insists on, and aiohttp's argument takes none.
    headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
    return web.Response(body=content, headers=headers | ({"Content-Encoding": "gzip"} if compressed else {}))


async def collected(app: web.Application) -> Collected:
    """What the store and the snapshots hold now; of a store that cannot be read, what it held last."""
    read = await app[EXPORTER].last_read.newest()
    return Collected(
        stored=read and read.stored,
        rules=app[NOISE].rules,
        current=app[SNAPSHOTS].current,
        snapshots=tuple(app[SNAPSHOTS].of.values()),
        violations=app[COUNTED].current,
        use=app[AI_USE].current,
        currency=app[AI_USE].currency,
        store_bytes=app[CAP].size_bytes,
        store_limit=app[CAP].limit_bytes,
        left_out=app[EXPORTER].coder.left_out,
        age_ms=None if read is None else max(0, app[NOW]() - read.at),
    )


async def _process(app: web.Application) -> Process:
    gather = app[GATHERED]
    last_canary = app[CANARY_AT]
    canary_at = None if last_canary is None else last_canary() or 0
    store, writer, schedule, leadership = app[STORE], app[WRITER], app[SCHEDULE], app[LEADERSHIP]
    return Process(
        queued=writer.queue_depth,
        oldest_s=writer.oldest_s,
        jobs=schedule.facts,
        connections=store.connections() if isinstance(store, MeasuredStore) else None,
        coders_names=app[EXPORTER].coder is not NOTHING,
        canary_at=canary_at,
        now=app[NOW](),
        leads=leadership.leads,
        lease=leadership.seen,
        workers={} if gather is None else await gather(),
    )


def _rendered(moment: CoderMoment, sent: Sent, wanted: Wanted, username: Callable[[Agent], str]) -> Coder:
    deployment, left_out = capped(deployment_series(moment, wanted))
    replica, left_out_too = capped(forwarded_series(sent, wanted, username))
    return Coder(bodies(deployment), bodies(replica), left_out | left_out_too)


def _age(age_ms: int | None) -> Bodies:
    return {} if age_ms is None else bodies([Sampled(families.METRICS_AGE, {"": age_ms / 1000})])


def _of(rendered: Bodies, format_: Format) -> list[Body]:
    return [rendered[format_]] if rendered else []


def _encoded(registry: CollectorRegistry, format_: Format) -> bytes:
    if format_ is Format.TEXT:
        return generate_latest(registry)
    text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
    return text.removesuffix(EOF)
