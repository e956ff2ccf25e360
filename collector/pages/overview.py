"""The page at ``/``: stats now, their history, the top violations, the sources of it all and the health of the service."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import DEPLOYMENT, NOW, SNAPSHOTS, STORE
from collector.pages.admission import READERS, shown_to
from collector.pages.page import PAGES
from collector.pages.view import TOP, Choice, Health, Range, Violations, overview_context
from collector.rollup.history import USUAL_INTERVAL_MS, Span, history, nice_step
from collector.rollup.snapshot import Snapshot
from collector.rollup.sources import sources
from collector.rollup.violation_list import violations
from collector.rollup.violations import top
from collector.serve.health import checks
from collector.wire.identity import User
from collector.wire.violations import Noise, ViolationQuery


@shown_to(READERS)
async def get_overview(request: web.Request, user: User) -> web.Response:
    """Stats now and over time, the top violations, and how this collector and its sources are doing."""
    app = request.app
    choice = Choice(Range.named(request.query.get("range")), _noise(request.query.get("noise")))
    now, snapshot = app[NOW](), app[SNAPSHOTS].current
    deployment = snapshot.deployment if snapshot else app[DEPLOYMENT]
    since = now - choice.span.seconds * 1_000
    span = Span(deployment, since, now, source=app[SNAPSHOTS].source_of(deployment))
    interval = _interval_ms(snapshot)
    step = nice_step(since, now, interval)
    past, found, given = await app[STORE].read(
        lambda store: (
            history(store, span, step_seconds=step, interval_ms=interval),
            Violations(
                top(store, TOP, now=now, noise=choice.noise),
                violations(store, ViolationQuery(noise=choice.noise, limit=1), now=now).count,
                violations(store, ViolationQuery(noise=Noise.ONLY, limit=1), now=now).count,
            ),
            sources(store),
        )
    )
    page = overview_context(
        viewer=user,
        choice=choice,
        snapshot=snapshot,
        history=past,
        violations=found,
        health=Health(given, await checks(app), app[DEPLOYMENT]),
        base_url=app[PAGES].base_url(request),
        now=now,
    )
    return app[PAGES].response(request, "overview", page)


def _noise(asked: str | None) -> Noise:
    """Noise is hidden until it is asked for; what is no choice is as good as none."""
    return Noise(asked) if asked in tuple(Noise) else Noise.EXCLUDE


def _interval_ms(snapshot: Snapshot | None) -> int:
    return snapshot.interval_ms if snapshot else USUAL_INTERVAL_MS
