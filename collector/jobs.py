"""Everything that is done on a schedule, as one table: what, how often, and by whom.

What the leader does, it does for all replicas, and writes through the lease. What every replica does is about the process
itself, or reads what all of them answer from; what it writes is its own, or is the same whoever writes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from aiohttp import web

from collector import telemetry, upkeep
from collector.config.settings import Settings
from collector.http.appkeys import (
    CAP,
    CREDENTIALS,
    DEPLOYMENT,
    LEADERSHIP,
    NOISE,
    NOW,
    SNAPSHOTS,
    STORE,
    WRITER,
)
from collector.http.auth import REFRESH_KEYS_S
from collector.http.tls import Certificates
from collector.outbound import canary, updatecheck
from collector.persist import disk
from collector.persist.csp import CspRows
from collector.rollup.moment import Asked
from collector.rollup.retention import purge
from collector.rollup.schedule import By, Job
from collector.rollup.store_cap import StoreState
from collector.rollup.turns import Turns
from collector.serve.aibridge import PRICES
from collector.serve.exporter import EXPORTER

NOTE_USE_EVERY = timedelta(seconds=30)  # "last used" is exact to the hour
CAP_EVERY = timedelta(seconds=10)
CERTIFICATES_EVERY = timedelta(seconds=10)
MS = timedelta(milliseconds=1)
PURGE_EVERY = timedelta(minutes=10)
FOLLOW_EVERY = timedelta(seconds=10)
SHOW_IN_PARTS = 6  # of the interval: so far behind the leader's may what another replica shows be

ROWS: web.AppKey[CspRows] = web.AppKey("csp_rows", CspRows)
TURNS: web.AppKey[Turns] = web.AppKey("turns", Turns)
CERTIFICATES: web.AppKey[Certificates] = web.AppKey("certificates", Certificates)  # when HTTPS is served
CANARY: web.AppKey[canary.Canary] = web.AppKey("canary", canary.Canary)  # unless it is off


def jobs(settings: Settings, app: web.Application, checker: updatecheck.Checker) -> Iterable[Job]:
    """The table."""
    store, write, lead, now = app[STORE], app[WRITER].write, app[LEADERSHIP].write, app[NOW]
    interval = settings.agent_stat_refresh_interval

    async def measure() -> None:
        app[ROWS].refuse_new = app[CAP].measure(await store.size_bytes()) is not StoreState.OPEN
        app[WRITER].refusing = app[CAP].state is StoreState.CLOSED
        await asyncio.to_thread(disk.measure, settings.data_dir)

    async def keep_house() -> None:
        await purge(lead, upkeep.retentions(settings), now=now())

    yield Job("snapshot", app[TURNS].build, interval, By.LEADER)
    yield Job("shown snapshots", app[TURNS].follow, max(interval / SHOW_IN_PARTS, MS), By.EVERY)
    yield Job("credentials", app[CREDENTIALS].refresh, timedelta(seconds=REFRESH_KEYS_S), By.EVERY)
    yield Job("token use", lambda: app[CREDENTIALS].note_use(write), NOTE_USE_EVERY, By.EVERY)
    if CERTIFICATES in app:
        yield Job("certificates", app[CERTIFICATES].reload, CERTIFICATES_EVERY, By.EVERY)
    # Each erases what came in through it before it knew; the same marks erase the same rows.
    yield Job("erasures", lambda: telemetry.learn_erased(app), telemetry.ERASURES_EVERY, By.EVERY)
    if CANARY in app:
        yield Job("canary", app[CANARY].run, canary.LOOK_EVERY, By.EVERY)
    yield Job("cap", measure, CAP_EVERY, By.EVERY)
    yield Job("facets", lambda: app[ROWS].flush(write), FOLLOW_EVERY, By.EVERY)
    yield Job("retention", keep_house, PURGE_EVERY, By.LEADER)
    yield Job("noise", lambda: upkeep.follow_noise(store, lead, app[NOISE]), PURGE_EVERY, By.LEADER)
    if settings.feed_url:
        # Each answers from what it knows; the store keeps all but the first from asking.
        yield Job("update check", checker.check, updatecheck.EVERY, By.EVERY)
    yield from upkeep.alerting(settings, store, lead, now=now)
    yield from upkeep.forwarding(settings, app)
    yield from upkeep.polling(settings, lead, app[SNAPSHOTS], now=now)


def turns(settings: Settings, app: web.Application) -> Turns:
    """This replica's part in the snapshots, and in the metrics that are read with them."""
    leadership = app[LEADERSHIP]
    return Turns(
        app[STORE],
        leadership.write,
        app[SNAPSHOTS],
        app[DEPLOYMENT],
        app[EXPORTER],
        asked=Asked(app[PRICES].list, coder=settings.coder_metrics),
        now=app[NOW],
        interval_ms=settings.agent_stat_refresh_interval // MS,
        epoch=lambda: leadership.epoch,
    )
