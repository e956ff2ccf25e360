"""/setup: what to paste where so that data comes in, and whether it does."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import DEPLOYMENT, NOW, STORE
from collector.pages.admission import READERS, shown_to
from collector.pages.page import PAGES
from collector.pages.setup_view import setup_context, tries_view
from collector.persist.keys import list_keys
from collector.rollup.arrivals import arrivals
from collector.rollup.projects import projects
from collector.rollup.trials import trials
from collector.wire.identity import User


@shown_to(READERS)
async def get_setup(request: web.Request, user: User) -> web.Response:
    """The headers of every project, the settings of agents, servers and Prometheus, and when each last sent something."""
    app, now = request.app, request.app[NOW]()
    own = app[DEPLOYMENT]
    keys, every, newest, tried = await app[STORE].read(
        lambda store: (list_keys(store), projects(store, now=now), arrivals(store), trials(store, own))
    )
    pages = app[PAGES]
    context = setup_context(
        viewer=user,
        keys=keys,
        projects=every,
        arrivals=newest,
        tries=tries_view(tried, user, own, now=now),
        base_url=pages.base_url(request),
        metrics_url=pages.metrics_link(request),
        now=now,
    )
    return pages.response(request, "setup", context)
