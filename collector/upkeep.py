"""What is done beside requests: how long rows are kept, what follows a change of noise rules, who is told and who asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import structlog
from aiohttp import web

from collector.config.noise_rules import noise_rules
from collector.config.settings import Settings
from collector.http.appkeys import AGENT_METRICS, DEPLOYMENT, IDENTITIES, NOW, SNAPSHOTS
from collector.normalize.filters import NoiseFilter
from collector.normalize.identity import NOBODY, Identities, UserIdentity
from collector.normalize.rejudge import Rejudge, digests
from collector.outbound.messages import Shape
from collector.outbound.upstream import Poller
from collector.outbound.webhooks import Webhook, tell
from collector.outbound.workspace_groups import COUNT_EVERY, WorkspaceCounter
from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.leadership import Write
from collector.rollup.noise import begin_rejudging, rejudge
from collector.rollup.retention import Retentions
from collector.rollup.schedule import By, Job
from collector.rollup.snapshot import Snapshots
from collector.serve.coder_families import Wanted
from collector.serve.exporter import EXPORTER
from collector.wire.alerts import AlertRules
from collector.wire.identity import Agent

ALERT_EVERY = timedelta(seconds=30)
LOOK_WHAT_IS_DUE_EVERY = timedelta(seconds=1)
FOREVER_MS = 1 << 52  # 142,000 years

log = structlog.get_logger(__name__)


def retentions(settings: Settings) -> Retentions:
    """How long each kind of row is kept."""

    def milliseconds(span: timedelta) -> int:
        return span // timedelta(milliseconds=1)

    return Retentions(
        csp_minutes=milliseconds(settings.csp_minutes_retention),
        csp_hours=milliseconds(settings.csp_hours_retention),
        violations=milliseconds(settings.csp_violation_retention),
        agent_stats=milliseconds(settings.agent_stats_retention),
        workspaces=milliseconds(settings.workspace_retention),
        snapshots=milliseconds(settings.snapshot_retention),
        inventory=milliseconds(settings.inventory_retention),
        history_minutes=milliseconds(settings.history_minutes_retention),
        history_hours=milliseconds(settings.history_hours_retention),
        tokens=milliseconds(settings.api_keys_retention) or FOREVER_MS,
        aibridge=milliseconds(settings.aibridge_retention) or FOREVER_MS,
    )


async def noise_in_effect(settings: Settings, store: Store) -> NoiseFilter:
    """The noise rules of this start. That stored violations are to follow them is noted before the first report is taken.

    Raises:
        InvalidOption: names the rule and the key of the file that cannot be used.
    """
    noise = NoiseFilter(noise_rules(settings.csp_noise_rules))
    await begin_rejudging(store, digests(noise))
    return noise


async def follow_noise(store: Store, write: Write, noise: NoiseFilter) -> None:
    """Judge stored violations by ``noise``, as far as they have not been."""
    await rejudge(store, write, digests(noise), partial(Rejudge, noise))


async def last_flush(rows: CspRows, store: Store) -> None:
    """Write what follows the reports at a distance, after the last of them: the writer has ended, and nobody else writes.

    A store that fails keeps no process from ending.
    """
    try:
        await rows.flush(store.transact)
    except Exception as error:  # noqa: BLE001 — what is behind is said, whatever the reason
        log.warning("facets are behind by the last seconds", error=type(error).__name__)


def alerting(settings: Settings, store: Store, write: Write, *, now: Callable[[], int]) -> Iterator[Job]:
    """The job that posts alerts, when there is a webhook."""
    if not settings.alert_webhook_url:
        return
    webhook = Webhook(
        url=settings.alert_webhook_url,
        shape=Shape(settings.alert_format),
        secret=settings.alert_secret,
        digest_ms=settings.alert_digest // timedelta(milliseconds=1),
        rules=AlertRules(reports=settings.alert_reports, clients=settings.alert_clients, trend=settings.alert_trend),
    )
    yield Job("alerts", partial(tell, webhook, store.read, write, now=now, random=random.random), ALERT_EVERY, By.LEADER)


def wanted(settings: Settings) -> Wanted | None:
    """Which metrics under Coder's names are served; None: none is."""
    by = settings.prometheus_aggregate_agent_stats_by
    return Wanted(settings.prometheus_collect_agent_stats, by) if settings.coder_metrics else None


def forwarding(settings: Settings, app: web.Application) -> Iterator[Job]:
    """The job that serves what agents send of themselves to this replica, with the metrics under Coder's names."""
    which = wanted(settings)
    if which is not None:
        yield Job("agent metrics", partial(forward, app, which), settings.agent_stat_refresh_interval, By.EVERY)


async def forward(app: web.Application, which: Wanted) -> None:
    """Let the exporter serve what is current of it; nothing of that is in the store."""
    now, current, identities = app[NOW](), app[SNAPSHOTS].current, app[IDENTITIES]
    # No label tells deployments apart, so they are of one: the one that answers when nobody names one.
    deployment = app[DEPLOYMENT] if current is None else current.deployment
    sent = [(agent, series) for agent, series in app[AGENT_METRICS].current(now) if agent.deployment == deployment]
    await app[EXPORTER].forward(sent, which, partial(_username, identities))


def _username(identities: Identities, agent: Agent) -> str:
    """What may be told of whose agent it is."""
    kept = identities.user_id(agent.user_id)
    if kept is None:
        return NOBODY
    return agent.username or kept if identities.kept is UserIdentity.PLAIN else kept


def polling(settings: Settings, write: Write, snapshots: Snapshots, *, now: Callable[[], int]) -> Iterator[Job]:
    """Two jobs for each Coder server that is asked: one for its stats, one for its workspaces."""
    for number, upstream in enumerate(settings.upstreams):
        poller, counter = Poller(upstream, write, snapshots.said, now=now), WorkspaceCounter(upstream, write, now=now)
        yield Job(f"upstream {number} workspaces", counter.run, COUNT_EVERY, By.LEADER)
        yield Job(f"upstream {number}", poller.run, LOOK_WHAT_IS_DUE_EVERY, By.LEADER)
