"""Telemetry put together: who is kept as whom, which deployments are known, and where messages are passed on to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

from aiohttp import web

from collector.config.settings import Settings
from collector.http.appkeys import AGENT_METRICS, IDENTITIES, STORE, WRITER
from collector.ingest.agentstats import COLLECTED, INTERVAL_MS
from collector.ingest.telemetry import RECEIVER, Receiver
from collector.normalize.identity import NOBODY, Identities, UserIdentity
from collector.outbound.telemetry import Forwarder
from collector.persist.deployments import told_of
from collector.persist.meta import service_secret
from collector.persist.userdata import erase_marked, erased
from collector.rollup.agentmetrics import AgentMetrics

MS = timedelta(milliseconds=1)
ERASURES_EVERY = timedelta(seconds=2)


async def prepare(app: web.Application, settings: Settings) -> None:
    """Put into ``app`` what the routes of telemetry and of agents take from it."""
    store = app[STORE]
    app[IDENTITIES] = Identities(UserIdentity(settings.user_identity), await store.transact(service_secret))
    app[IDENTITIES].erased = await store.read(erased)
    forwarder = Forwarder(settings.telemetry_forward_url) if settings.telemetry_forward_url else None
    known = set(await store.read(told_of))
    app[RECEIVER] = Receiver(None if forwarder is None else forwarder.offer, known)
    app[COLLECTED] = settings.usage_stats_enable
    app[INTERVAL_MS], app[AGENT_METRICS] = settings.agent_stat_refresh_interval // MS, AgentMetrics()
    if forwarder is not None:
        app.cleanup_ctx.append(partial(_forwarding, forwarder))


async def learn_erased(app: web.Application) -> None:
    """Learn which users' data another process has erased, and erase what has come in about them since."""
    identities, marks = app[IDENTITIES], await app[STORE].read(erased)
    before = identities.erased
    if marks == before:
        return
    identities.erased = marks  # first: what comes in from here on is nobody's
    try:
        await app[WRITER].write(partial(erase_marked, mark=identities.mark, marks=marks, nobody=NOBODY))
    except BaseException:
        identities.erased = before  # or it would never be tried again
        raise


async def _forwarding(forwarder: Forwarder, _app: web.Application) -> AsyncIterator[None]:
    forwarder.start()
    yield
    await forwarder.stop()
