"""/setup: what to paste where so that data comes in, and whether it does."""

from __future__ import annotations

from aiohttp import web

from collector.http.appkeys import NOW, STORE
from collector.pages.admission import READERS, shown_to
from collector.pages.page import PAGES
from collector.pages.setup_view import setup_context
from collector.persist.keys import list_keys
from collector.rollup.arrivals import arrivals
from collector.rollup.projects import projects
from collector.wire.identity import User


@shown_to(READERS)
async def get_setup(request: web.Request, user: User) -> web.Response:
    """The headers of every project, the settings of agents, servers and Prometheus, and when each last sent something."""
    app, now = request.app, request.app[NOW]()
    keys, every, newest = await app[STORE].read(lambda store: (list_keys(store), projects(store, now=now), arrivals(store)))
    pages = app[PAGES]
    context = setup_context(
        viewer=user,
        keys=keys,
        projects=every,
        arrivals=newest,
        base_url=pages.base_url(request),
        metrics_url=pages.metrics_link(request),
        now=now,
    )
    return pages.response(request, "setup", context)
