"""The page at ``/``: stats now, their history, the top violations, and the header that makes a site report."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import DEPLOYMENT, NOW, SNAPSHOTS, STORE
from collector.pages.page import PAGES
from collector.pages.session import viewer
from collector.pages.view import TOP, Choice, Range, Violations, overview_context
from collector.persist.keys import list_keys
from collector.rollup.history import USUAL_INTERVAL_MS, Span, history, nice_step
from collector.rollup.snapshot import Snapshot
from collector.rollup.violation_list import violations
from collector.rollup.violations import top
from collector.wire.identity import Role
from collector.wire.violations import Noise, ViolationQuery

READERS = (Role.OWNER, Role.AUDITOR)


async def get_overview(request: web.Request) -> web.Response:
    """The overview for owners and auditors, a friendly refusal for members, the sign-in form for everybody else.

    The form is a 200: it is the page for who is not signed in, and no client but a person ever asks for it.
    """
    app = request.app
    user = await viewer(request)
    if user is None:
        return app[PAGES].response(request, "signin", {"viewer": None, "problem": None})
    if user.role not in READERS:
        return app[PAGES].response(request, "member", {"viewer": user}, status=403)
    choice = Choice(Range.named(request.query.get("range")), _noise(request.query.get("noise")))
    now, snapshot = app[NOW](), app[SNAPSHOTS].current
    deployment = snapshot.deployment if snapshot else app[DEPLOYMENT]
    since = now - choice.span.seconds * 1_000
    span = Span(deployment, since, now, source=app[SNAPSHOTS].said.get(deployment))
    interval = _interval_ms(snapshot)
    step = nice_step(since, now, interval)
    past, found, keys = await app[STORE].read(
        lambda store: (
            history(store, span, step_seconds=step, interval_ms=interval),
            Violations(
                top(store, TOP, now=now, noise=choice.noise),
                violations(store, ViolationQuery(noise=choice.noise, limit=1), now=now).count,
                violations(store, ViolationQuery(noise=Noise.ONLY, limit=1), now=now).count,
            ),
            list_keys(store),
        )
    )
    page = overview_context(
        viewer=user,
        choice=choice,
        snapshot=snapshot,
        history=past,
        violations=found,
        keys=keys,
        base_url=app[PAGES].base_url(request),
        now=now,
    )
    return app[PAGES].response(request, "overview", page)


def _noise(asked: str | None) -> Noise:
    """Noise is hidden until it is asked for; what is no choice is as good as none."""
    return Noise(asked) if asked in tuple(Noise) else Noise.EXCLUDE


def _interval_ms(snapshot: Snapshot | None) -> int:
    return snapshot.interval_ms if snapshot else USUAL_INTERVAL_MS
