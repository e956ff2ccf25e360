"""A worker: the intake of one more process, in front of the main one that stores and answers everything else.

It answers what comes with an ingest key, that is reports of browsers and the arrays of servers, and passes the rest on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from aiohttp import web

from collector import entrance
from collector.crew import Orders
from collector.http.access import header_key
from collector.http.appkeys import BUDGET, CREDENTIALS, DEPLOYMENT, IDENTITIES, NOW, SINK
from collector.http.auth import REFRESH_KEYS_S
from collector.http.front import Door
from collector.http.tls import Certificates
from collector.ingest import agentstats, csp, workspaces
from collector.normalize.filters import NoiseFilter
from collector.normalize.identity import Identities, UserIdentity
from collector.persist.engine import Store, open_store
from collector.persist.sink import Sink
from collector.rollup.schedule import Job, Schedule
from collector.routes import ROUTES
from collector.wire.clock import wall_clock

CERTIFICATES_EVERY = timedelta(seconds=10)
CONNECTIONS = 2  # to PostgreSQL: for keys that are not remembered
OWN = (agentstats.post_agent_stats, workspaces.post_workspaces)
CERTIFICATES: web.AppKey[Certificates] = web.AppKey("certificates", Certificates)
STORE: web.AppKey[Store] = web.AppKey("store", Store)


async def create_worker_app(orders: Orders, sink: Sink) -> web.Application:
    """The intake; starting it starts its two jobs."""
    settings = orders.settings
    store = open_store(settings.database_url, pool_size=CONNECTIONS)
    credentials = entrance.credentials(settings, store, now=wall_clock)
    guard = entrance.guard(settings, credentials)
    app = web.Application(middlewares=list(entrance.middlewares(settings, guard)))
    app[NOW], app[STORE], app[CREDENTIALS], app[SINK], app[DEPLOYMENT] = wall_clock, store, credentials, sink, orders.deployment
    app[BUDGET] = entrance.budget(settings)
    app[IDENTITIES] = Identities(UserIdentity.PLAIN, b"")  # whose data it is the main process decides, which knows the erased
    app[agentstats.COLLECTED] = settings.usage_stats_enable
    app[csp.DOOR] = await entrance.csp_door(
        settings,
        store,
        guard,
        sink=sink,
        credentials=credentials,
        budget=app[BUDGET],
        noise=NoiseFilter(orders.rules),
        deployment=orders.deployment,
    )
    for route in ROUTES:
        if route.handler in OWN:
            app.router.add_route(route.method, route.path, guard.handler(route))
    certificates = entrance.certificates(settings)
    jobs = [Job("credentials", credentials.refresh, timedelta(seconds=REFRESH_KEYS_S))]
    if certificates is not None:
        app[CERTIFICATES] = certificates
        jobs.append(Job("certificates", certificates.reload, CERTIFICATES_EVERY))
    app.cleanup_ctx.append(lambda _app: _running(store, Schedule(jobs, clock=wall_clock)))
    return app


async def _running(store: Store, schedule: Schedule) -> AsyncIterator[None]:
    schedule.start()
    yield
    await schedule.stop()
    await store.close()


def doors(app: web.Application, application: Door, passing: Door) -> dict[tuple[str, str], Door]:
    """What a worker answers by itself: what comes with a key. A session is known to the main process, and is passed on."""

    def by_key(door: Door, has_key: Callable[[web.BaseRequest], bool]) -> Door:
        def chosen(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
            return door(request) if has_key(request) else passing(request)

        return chosen

    own = {(route.method, route.path): by_key(application, _has_feed_key) for route in ROUTES if route.handler in OWN}
    reports = {("POST", path): by_key(app[csp.DOOR], _has_browser_key) for path in csp.PATHS}
    return own | reports | {("OPTIONS", path): csp.preflight for path in csp.PATHS}


def _has_browser_key(request: web.BaseRequest) -> bool:
    query = request.raw_path.partition("?")[2]
    return query.startswith("key=") and len(query) > len("key=")


def _has_feed_key(request: web.BaseRequest) -> bool:
    return bool(header_key(request))
