"""/metrics: the deployments as of the current snapshot, and the service's own health, as Prometheus reads them.

``/metrics/deployment`` and ``/metrics/replica`` are its halves: of several replicas each gives the same in the first one, and
tells of itself in the second.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from aiohttp import web

from collector.http.appkeys import CANARY_AT, LEADERSHIP, NOW, SCHEDULE, STORE, WRITER
from collector.http.operation import Operation
from collector.persist.measured import MeasuredStore
from collector.persist.shown import KeptMetrics
from collector.rollup.agentmetrics import Series
from collector.rollup.moment import Moment
from collector.rollup.turns import Prepared
from collector.serve import accept, families
from collector.serve.coder_families import Wanted, capped, forwarded_series
from collector.serve.collected import Chosen, moment_series
from collector.serve.exposition import EOF, Bodies, Format, Sampled, answer, bodies, kept, lines, restored
from collector.serve.gathered import Key
from collector.serve.instruments import InstrumentLines
from collector.serve.process import Process, replica_metrics
from collector.wire.identity import Agent

Sent = Sequence[tuple[Agent, Sequence[Series]]]

MEDIA = ("text/plain", "application/openmetrics-text")
HEADERS = {"Content-Encoding": "`gzip` where `Accept-Encoding` names it."}


class Rendered(NamedTuple):
    """All that is told of the deployments, as it was read at ``at`` (ms). It is never changed, only replaced."""

    at: int
    bodies: Bodies


class Forwarded(NamedTuple):
    """What agents send of themselves to this replica, and how many series of it were too many."""

    bodies: Bodies
    left_out: int


class Exporter:
    """What has been rendered, all of it on a thread: the event loop goes on meanwhile.

    What is told of the deployments is rendered once a snapshot, and replaced as one: no scrape has parts of two of them. What
    the process says of itself is rendered for each scrape.
    """

    def __init__(self, chosen: Chosen) -> None:
        self.forwarded: Forwarded | None = None  # None: it is not asked for
        self.rendered: Rendered | None = None  # None: before the first snapshot
        self._chosen = chosen
        self._lines = InstrumentLines()
        self._turn = asyncio.Lock()  # however many scrape at once, one thread is busy with it

    async def prepare(self, moment: Moment) -> Prepared:
        """Render ``moment``; it is served once it is shown."""
        return await asyncio.to_thread(self._prepared, moment)

    async def restore(self, kept: KeptMetrics) -> Prepared:
        """What another process has rendered; it is served once it is shown.

        Raises:
            ValueError, zlib.error: when it is not that.
        """
        return await asyncio.to_thread(self._restored, kept)

    async def forward(self, sent: Sent, wanted: Wanted, username: Callable[[Agent], str]) -> None:
        """Serve what agents have ``sent`` to this replica from now on."""
        self.forwarded = await asyncio.to_thread(_forwarded, sent, wanted, username)

    async def answer(self, now: int | None, process: Process | None, format_: Format, *, compressed: bool) -> bytes:
        """The halves that are asked for: the deployments' unless ``now`` (ms) is None, that of ``process`` if it is given."""
        async with self._turn:
            rendered, forwarded = self.rendered, self.forwarded
            made: list[Bodies] = []
            new: list[str] = []
            if now is not None and rendered is not None:
                made.append(rendered.bodies)
                new.append(lines([Sampled(families.METRICS_AGE, {"": max(0, now - rendered.at) / 1000})], format_))
            if process is not None and forwarded is not None:
                made.append(forwarded.bodies)
            return await asyncio.to_thread(self._answer, made, new, process, format_, compressed=compressed)

    def _answer(
        self, made: Sequence[Bodies], new: Sequence[str], process: Process | None, format_: Format, *, compressed: bool
    ) -> bytes:
        """What is ``made`` already, before what is ``new`` with each scrape."""
        own = "" if process is None else self._lines.text(replica_metrics(process), format_)
        end = EOF if format_ is Format.OPENMETRICS else b""
        return answer([each[format_] for each in made], "".join([*new, own]).encode() + end, compressed=compressed)

    def _prepared(self, moment: Moment) -> Prepared:
        rendered = Rendered(moment.at, bodies(moment_series(moment, self._chosen)))
        text = base64.b64encode(kept(rendered.bodies[Format.TEXT])).decode()
        return Prepared(KeptMetrics(moment.at, text), lambda: self._show(rendered))

    def _restored(self, metrics: KeptMetrics) -> Prepared:
        rendered = Rendered(metrics.at, restored(base64.b64decode(metrics.text, validate=True)))
        return Prepared(metrics, lambda: self._show(rendered))

    def _show(self, rendered: Rendered) -> None:
        self.rendered = rendered


EXPORTER: web.AppKey[Exporter] = web.AppKey("exporter", Exporter)
# What the workers of this process have counted; None: there are none.
GATHERED: web.AppKey[Callable[[], Awaitable[dict[str, dict[Key, float]]]] | None] = web.AppKey("gathered", object)  # type: ignore[arg-type]


@Operation(media=MEDIA, headers=HEADERS)
async def get_metrics(request: web.Request) -> web.Response:
    """All metrics for Prometheus, as text or as OpenMetrics by what `Accept` asks for."""
    return await _scraped(request, request.app[NOW](), await _process(request.app))


@Operation(media=MEDIA, headers=HEADERS)
async def get_deployment_metrics(request: web.Request) -> web.Response:
    """The metrics of the deployments, all of one snapshot. Every replica tells the same: of several scrape one."""
    return await _scraped(request, request.app[NOW](), None)


@Operation(media=MEDIA, headers=HEADERS)
async def get_replica_metrics(request: web.Request) -> web.Response:
    """The metrics of this replica: of several scrape each. Counters and histograms add up, gauges are of each alone."""
    return await _scraped(request, None, await _process(request.app))


async def _scraped(request: web.Request, now: int | None, process: Process | None) -> web.Response:
    accepted = request.headers.get("Accept", "")
    preferred = accept.quality(accepted, "application/openmetrics-text", version="1.0.0")
    format_ = Format.OPENMETRICS if preferred > 0 and preferred >= accept.quality(accepted, "text/plain") else Format.TEXT
    compressed = accept.quality(request.headers.get("Accept-Encoding", ""), "gzip", "x-gzip") > 0
    content = await request.app[EXPORTER].answer(now, process, format_, compressed=compressed)
    # A charset parameter is part of the type that Prometheus 3 insists on, and aiohttp's argument takes none.
    headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
    return web.Response(body=content, headers=headers | ({"Content-Encoding": "gzip"} if compressed else {}))


async def _process(app: web.Application) -> Process:
    gather = app[GATHERED]
    last_canary = app[CANARY_AT]
    canary_at = None if last_canary is None else last_canary() or 0
    store, writer, schedule, leadership = app[STORE], app[WRITER], app[SCHEDULE], app[LEADERSHIP]
    forwarded = app[EXPORTER].forwarded
    return Process(
        queued=writer.queue_depth,
        oldest_s=writer.oldest_s,
        jobs=schedule.facts,
        connections=store.connections() if isinstance(store, MeasuredStore) else None,
        forwarded_left_out=None if forwarded is None else forwarded.left_out,
        canary_at=canary_at,
        now=app[NOW](),
        leads=leadership.leads,
        lease=leadership.seen,
        workers={} if gather is None else await gather(),
    )


def _forwarded(sent: Sent, wanted: Wanted, username: Callable[[Agent], str]) -> Forwarded:
    series, left_out = capped(forwarded_series(sent, wanted, username))
    return Forwarded(bodies(series), sum(left_out.values()))
