"""The composition root: everything is built, started and stopped here, in one place."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from collector import about, buffer, entrance, telemetry, upkeep, workers
from collector.config.deployment import deployment_config
from collector.config.loading import Loaded
from collector.config.prices import read_prices
from collector.config.settings import Settings
from collector.config.shape import config_type
from collector.entrance import VERSION
from collector.http import meter
from collector.http.access import INTAKE, Access
from collector.http.appkeys import (
    BUDGET,
    BUILD_INFO,
    CANARY_AT,
    CAP,
    CREDENTIALS,
    DEPLOYMENT,
    LEADERSHIP,
    NOISE,
    NOW,
    OPENAPI,
    SCHEDULE,
    SINK,
    SNAPSHOTS,
    STORE,
    UPDATE_CHECK,
    WRITER,
)
from collector.http.errors import errors_middleware, json_bytes
from collector.http.front import Door
from collector.http.guard import Guard
from collector.http.observe import observing
from collector.ingest import aibridge, csp
from collector.jobs import CANARY, CERTIFICATES, ROWS, TURNS, jobs, turns
from collector.outbound import canary, updatecheck
from collector.pages import session
from collector.pages.page import PAGES, Pages
from collector.persist import agentstats as agentstats_rows
from collector.persist import migrate
from collector.persist import telemetry as telemetry_rows
from collector.persist import workspaces as workspace_rows
from collector.persist.csp import CspRows
from collector.persist.engine import Store, open_store
from collector.persist.leadership import Leadership
from collector.persist.meta import FirstSecrets, deployment_id, first_start, own_browser_key, service_secret
from collector.persist.partitions import make_ahead
from collector.persist.projects import ensure_browser_key
from collector.persist.writer import Writer
from collector.rollup.prices import PriceList
from collector.rollup.schedule import Schedule
from collector.rollup.snapshot import Snapshots
from collector.rollup.store_cap import StoreCap
from collector.routes import ROUTES
from collector.serve import aibridge as aibridge_usage
from collector.serve import config, exporter, openapi
from collector.serve.collected import Chosen
from collector.serve.latency import LATENCY, Latency
from collector.wire.clock import wall_clock
from collector.wire.errors import InvalidOption
from collector.wire.general import UpdateCheck
from collector.wire.inventory import TelemetryIntake, TelemetryServer
from collector.wire.records import AgentReport, CspIntake, Workspace

FIRST: web.AppKey[list[FirstSecrets]] = web.AppKey("first", list)  # empty but on the first start
GUARD: web.AppKey[Guard] = web.AppKey("guard", Guard)
# What the Prometheus listener reads.
SHARED = (
    STORE,
    WRITER,
    SCHEDULE,
    LEADERSHIP,
    NOW,
    CANARY_AT,
    exporter.EXPORTER,
    exporter.GATHERED,
)


async def create_app(
    loaded: Loaded, *, now: Callable[[], int] = wall_clock, keep: Callable[[FirstSecrets], None] | None = None
) -> web.Application:
    """The service, migrated and with its first users and keys committed; starting it starts the writer and the jobs.

    ``keep`` puts the secrets of a first start away before they are committed.
    """
    settings = loaded.settings
    certificates, prices = entrance.certificates(settings), read_prices(settings.aibridge_prices)
    store = await _migrated_store(settings, now=now)
    credentials = entrance.credentials(settings, store, now=now)
    guard = entrance.guard(settings, credentials)
    app = web.Application(middlewares=list(entrance.middlewares(settings, guard)))
    app[NOW], app[STORE], app[CREDENTIALS], app[GUARD] = now, store, credentials, guard
    if certificates is not None:
        app[CERTIFICATES] = certificates
    first = await store.transact(partial(first_start, now=now(), admin_token=partial(_admin_token, settings), keep=keep))
    app[FIRST] = [] if first is None else [first]
    app[DEPLOYMENT] = await store.transact(deployment_id)
    app[BUDGET] = entrance.budget(settings)
    app[NOISE] = await upkeep.noise_in_effect(settings, store)
    app[config.ANSWER] = config.answer(deployment_config(loaded))
    app[LATENCY] = _latency(settings, store)
    await telemetry.prepare(app, settings)
    app[SNAPSHOTS], app[CAP] = Snapshots(said=settings.sources), StoreCap(settings.max_store_bytes)
    await _set_up_aibridge(app, settings, prices)
    await _set_up_canary(app, settings)
    app[ROWS] = rows = CspRows(new_violations=settings.csp_new_violations)
    _set_up_writer(settings, app, rows)
    about.tell(app, loaded, VERSION)
    app[OPENAPI] = _described()
    own = UpdateCheck(current=True, version=VERSION, url=app[BUILD_INFO].external_url)
    checker = updatecheck.Checker(settings.feed_url, own, store, app[WRITER].write, now=now)
    app[UPDATE_CHECK] = checker.answer
    app[LEADERSHIP] = _leadership(settings, app)
    _set_up_metrics(settings, app, prices)
    app[SCHEDULE] = Schedule(list(jobs(settings, app, checker)), clock=now, leads=lambda: app[LEADERSHIP].leads)
    metrics = settings.prometheus_address if settings.prometheus_enable else None
    app[PAGES] = Pages(
        access_url=settings.access_url or None,
        metrics_url=f"http://{metrics}/metrics" if metrics else None,
        links=[("Documentation", about.documentation(loaded)), *((link.name, link.target) for link in settings.support_links)],
        swagger=settings.swagger_enable,
        report_key=await store.transact(partial(own_browser_key, now=now())),
    )
    app[session.SIGN_IN] = entrance.sign_in(settings)
    app[csp.DOOR] = await _csp_door(settings, app)
    _add_routes(app, guard)
    app.cleanup_ctx.append(_running)
    return app


def _add_routes(app: web.Application, guard: Guard) -> None:
    for route in ROUTES:
        # The CSP door is a gate of its own: it admits most requests by one look into memory.
        open_gate = route.access is Access.CSP or not route.limited
        handler = route.handler if open_gate else guard.handler(route)
        for method in route.methods:
            app.router.add_route(method, route.path, handler)
        if route.access in INTAKE:
            meter.begin(csp.ROUTE if route.access is Access.CSP else route.path, route.method)


def create_metrics_app(app: web.Application) -> web.Application:
    """What the Prometheus listener serves, to everybody who reaches it: all metrics at every path but those of the halves."""
    metrics = web.Application(middlewares=[observing(VERSION), errors_middleware])
    for key in SHARED:
        metrics[key] = app[key]  # type: ignore[misc] # each key has a type of its own
    metrics.router.add_route("GET", "/metrics/deployment", exporter.get_deployment_metrics)
    metrics.router.add_route("GET", "/metrics/replica", exporter.get_replica_metrics)
    metrics.router.add_route("GET", "/{path:.*}", exporter.get_metrics)
    return metrics


@functools.cache
def _described() -> bytes:
    """The OpenAPI document, which nothing changes while the process lives."""
    return json_bytes(openapi.document(ROUTES, VERSION, config_type()))


async def _migrated_store(settings: Settings, *, now: Callable[[], int]) -> Store:
    if not settings.pg_connection_url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    await migrate.upgrade(settings.database_url)
    pool, idle = settings.pg_conn_max_open, settings.idle_connections
    store = open_store(settings.database_url, pool_size=pool, idle=idle, measured=settings.prometheus_collect_db_metrics)
    await store.transact(partial(make_ahead, now=now()))  # retention does it too, but may be behind the first reports
    return store


def _admin_token(settings: Settings) -> str | None:
    if not settings.admin_token_file:
        return None
    try:
        return Path(settings.admin_token_file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise InvalidOption(f"COLLECTOR_ADMIN_TOKEN_FILE: cannot read {settings.admin_token_file}: {reason}") from error


def _set_up_writer(settings: Settings, app: web.Application, rows: CspRows) -> None:
    app[WRITER] = Writer(
        app[STORE],
        {
            CspIntake: rows.store,
            AgentReport: agentstats_rows.store,
            Workspace: workspace_rows.store,
            TelemetryServer: telemetry_rows.store_servers,
            TelemetryIntake: telemetry_rows.store,
        },
        queue_limit=settings.queue_limit,
        submit_timeout=settings.submit_timeout.total_seconds(),
        ended=rows.ended,
    )
    buffer.prepare(app, settings)
    workers.prepare(app, settings)


def _leadership(settings: Settings, app: web.Application) -> Leadership:
    alone = app[STORE].dialect == "sqlite"  # its file is locked
    return Leadership(app[STORE], app[WRITER].write, ttl=settings.lease_ttl.total_seconds(), alone=alone)


def _latency(settings: Settings, store: Store) -> Latency:
    refresh, threshold = settings.health_check_refresh, settings.health_check_threshold_database
    return Latency(store, time.monotonic, good_for=refresh.total_seconds(), threshold=threshold.total_seconds())


def _set_up_metrics(settings: Settings, app: web.Application, prices: PriceList | None) -> None:
    currency = prices.currency if prices else ""
    chosen = Chosen(app[NOISE].rules, currency, settings.max_store_bytes, upkeep.wanted(settings))
    app[exporter.EXPORTER] = exporter.Exporter(chosen)
    app[TURNS] = turns(settings, app)


async def _set_up_aibridge(app: web.Application, settings: Settings, prices: PriceList | None) -> None:
    app[aibridge_usage.PRICES] = aibridge_usage.Prices(prices)
    app[aibridge.AIBRIDGE] = aibridge.Aibridge(
        secret=await app[STORE].transact(service_secret),
        enabled=settings.aibridge_enabled,
        store_prompts=settings.aibridge_store_prompts,
        structured_logging=settings.aibridge_structured_logging,
        kept_ms=upkeep.retentions(settings).aibridge,
    )


async def _set_up_canary(app: web.Application, settings: Settings) -> None:
    app[CANARY_AT] = None
    if settings.canary:
        make = partial(ensure_browser_key, name=canary.PROJECT, deployment=app[DEPLOYMENT], now=app[NOW]())
        app[CANARY] = bird = canary.Canary(await app[STORE].transact(make), now=app[NOW])
        app[CANARY_AT] = lambda: bird.last_success_at


async def _csp_door(settings: Settings, app: web.Application) -> csp.CspDoor:
    return await entrance.csp_door(
        settings,
        app[STORE],
        app[GUARD],
        sink=app[SINK],
        credentials=app[CREDENTIALS],
        budget=app[BUDGET],
        noise=app[NOISE],
        deployment=app[DEPLOYMENT],
        now=app[NOW],
    )


async def _running(app: web.Application) -> AsyncIterator[None]:
    """The writer first and last: jobs and requests write through it until they have ended.

    The lease is held before the first job looks whether it is, and until the last has ended.
    """
    schedule = app[SCHEDULE]
    app[WRITER].start()
    async with buffer.running(app):
        await app[LEADERSHIP].start(begun=schedule.begin_to_lead, ended=schedule.cease_to_lead)
        schedule.start()
        yield
        await schedule.stop()
        await app[LEADERSHIP].stop()
    await upkeep.last_flush(app[ROWS], app[STORE])
    await app[STORE].close()


def doors(app: web.Application) -> dict[tuple[str, str], Door]:
    """What ``http.front.install`` puts before the application."""
    return {("POST", path): app[csp.DOOR] for path in csp.PATHS} | {("OPTIONS", path): csp.preflight for path in csp.PATHS}
