"""Agent reports, workspaces and AI records -> one moment of what a Coder server's own metrics say of a deployment.

The window is the minute before: bytes of longer than that would be counted twice by who adds up what he scraped once a
minute, as Coder's dashboards do. All is read in one transaction and in pieces: between two of them the event loop goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    select,
)

from collector.persist.tables import agent_stats, agents, workspace_build_totals, workspaces
from collector.rollup.aibridge_totals import AiTotals, ai_totals
from collector.rollup.pieces import pieces
from collector.wire.trials import TRIAL_ID

MINUTE_MS = 60_000
CONNECTED_MS = 2 * MINUTE_MS  # an agent reports every 30 seconds
HEARD_OF_MS = 15 * MINUTE_MS  # as long as a snapshot's window
INSIGHTS_MS = 5 * MINUTE_MS
MOST_GROUPS = 20_000  # as many series of a metric as the exporter serves

APPS = ("vscode", "jetbrains", "reconnecting_pty", "ssh")

_agent, _stat, _space = agents.c, agent_stats.c, workspaces.c


class Newest(msgspec.Struct, frozen=True, gc=False):
    """An agent's newest report of the minute that saw latency. ``sessions`` are in the order of ``APPS``."""

    connection_count: int
    latency_s: float
    sessions: tuple[int, ...]


class AgentMinute(msgspec.Struct, frozen=True, gc=False):
    """An agent that was heard of within ``HEARD_OF_MS``; names that are not known are ids. Bytes are None without a report."""

    agent_name: str
    username: str
    workspace_name: str
    template_name: str
    connected: bool
    rx_bytes: float | None
    tx_bytes: float | None
    newest: Newest | None


class LatestBuild(msgspec.Struct, frozen=True, gc=False):
    """What the newest builds of some workspaces have in common; ``status`` is Coder's job status."""

    status: str
    template: str
    owner: str
    transition: str  # start, stop or delete


class BuildTotal(msgspec.Struct, frozen=True, gc=False):
    """Builds of a workspace that have ended since it is known."""

    owner: str
    workspace: str
    template: str
    transition: str
    succeeded: bool
    builds: int


class TemplateUse(msgspec.Struct, frozen=True, gc=False):
    """Who used a template within ``INSIGHTS_MS``, and each app for how many seconds, in the order of ``APPS``."""

    template: str
    users: int
    seconds: tuple[int, ...]


class CoderMoment(NamedTuple):
    """All of them at one moment, in no order.

    They are tens of thousands, and none is looked at by the garbage collector, which would hold up the event loop meanwhile.
    """

    agents: tuple[AgentMinute, ...] = ()
    builds: Mapping[LatestBuild, int] = {}
    built: tuple[BuildTotal, ...] = ()
    templates: tuple[TemplateUse, ...] = ()
    ai: AiTotals = AiTotals()


def coder_moment(connection: Connection, deployment: str, *, now: int) -> CoderMoment:
    """``deployment`` at ``now`` (ms)."""
    return CoderMoment(
        agents=tuple(_agents(connection, deployment, now)),
        builds={LatestBuild(*key): count for *key, count in pieces(connection, _latest_builds(deployment))},
        built=tuple(BuildTotal(*row) for row in pieces(connection, _build_totals(deployment))),
        templates=tuple(_templates(connection, deployment, now)),
        ai=ai_totals(connection, deployment),
    )


def _name(name: ColumnElement[Any], otherwise: ColumnElement[Any]) -> ColumnElement[str]:
    return func.coalesce(func.nullif(name, ""), otherwise)


# ── Agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _agents(connection: Connection, deployment: str, now: int) -> Iterator[AgentMinute]:
    within = and_(_stat.received_at > now - MINUTE_MS, _stat.received_at <= now)
    # As floats: two absurd numbers of one agent would overflow an integer, and a metric is a float anyway.
    moved = (func.sum(cast(_stat[name], Double)).label(name) for name in ("rx_bytes", "tx_bytes"))
    used = select(_stat.agent, *moved).where(within).group_by(_stat.agent).subquery()
    place = func.row_number().over(partition_by=_stat.agent, order_by=(_stat.received_at.desc(), _stat.id.desc()))
    seen = select(agent_stats, place.label("place")).where(within, _stat.connection_median_latency_ms > 0).subquery()
    sessions = (seen.c[f"session_count_{app}"] for app in APPS)
    found = (
        select(
            _name(_agent.agent_name, _agent.agent_id),
            _name(_agent.username, _agent.user_id),
            _name(_agent.workspace_name, _agent.workspace_id),
            _name(_agent.template_name, _agent.template_id),
            _agent.last_seen > now - CONNECTED_MS,
            used.c.rx_bytes,
            used.c.tx_bytes,
            seen.c.connection_count,
            seen.c.connection_median_latency_ms,
            *sessions,
        )
        .join_from(agents, used, used.c.agent == _agent.id, isouter=True)
        .join(seen, and_(seen.c.agent == _agent.id, seen.c.place == 1), isouter=True)
        .where(_agent.deployment == deployment, _agent.agent_id != TRIAL_ID, _agent.last_seen > now - HEARD_OF_MS)
    )
    for agent, user, workspace, template, connected, rx, tx, connections, latency, *open_ in pieces(connection, found):
        newest = None if connections is None else Newest(connections, latency / 1000, tuple(open_))
        yield AgentMinute(agent, user, workspace, template, bool(connected), rx, tx, newest)


def _templates(connection: Connection, deployment: str, now: int) -> Iterator[TemplateUse]:
    """A minute in which a user had a session of an app counts as a minute of use."""
    minute = _stat.received_at // literal(MINUTE_MS, BigInteger, literal_execute=True)
    template = _name(_agent.template_name, _agent.template_id)
    open_ = (func.max(_stat[f"session_count_{app}"]).label(app) for app in APPS)
    by_minute = (
        select(template.label("template"), _agent.user_id, *open_)
        .join_from(agent_stats, agents, _agent.id == _stat.agent)
        .where(_agent.deployment == deployment, _agent.agent_id != TRIAL_ID)
        .where(_stat.received_at > now - INSIGHTS_MS, _stat.received_at <= now)
        .group_by(template, _agent.user_id, minute)
        .subquery()
    )
    seconds = [func.count().filter(by_minute.c[app] > 0) * 60 for app in APPS]
    used = func.count(by_minute.c.user_id.distinct()).filter(
        by_minute.c.vscode + by_minute.c.jetbrains + by_minute.c.reconnecting_pty + by_minute.c.ssh > 0
    )
    found = select(by_minute.c.template, used, *seconds).group_by(by_minute.c.template)
    # One more than is served, so that the exporter sees that there are more.
    found = found.order_by(by_minute.c.template).limit(MOST_GROUPS + 1)
    for name, users, *of_apps in pieces(connection, found):
        if users:
            yield TemplateUse(name, users, tuple(of_apps))


# ── Builds ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _named_by_agents(deployment: str, key: Any, name: Any) -> Any:
    """What agents call what has the id ``key``."""
    return select(key, func.max(name).label("name")).where(_agent.deployment == deployment).group_by(key).subquery()


_failed = func.coalesce(_space.job_error, "") != ""
# As Coder's own column job_status has it.
JOB_STATUS = case(
    (and_(_space.job_completed_at.is_not(None), _failed), "failed"),
    (and_(_space.job_completed_at.is_not(None), _space.job_canceled_at.is_not(None)), "canceled"),
    (_space.job_completed_at.is_not(None), "succeeded"),
    (_failed, "failed"),
    (_space.job_canceled_at.is_not(None), "canceling"),
    (_space.job_started_at.is_(None), "pending"),
    else_="running",
)


def _latest_builds(deployment: str) -> Select[Any]:
    owners = _named_by_agents(deployment, _agent.user_id, _agent.username)
    templates = _named_by_agents(deployment, _agent.template_id, _agent.template_name)
    keys = (
        JOB_STATUS,
        _name(templates.c.name, _space.template_id),
        _name(owners.c.name, _space.owner_id),
        _space.transition,
    )
    return (
        select(*keys, func.count())
        .join_from(workspaces, owners, owners.c.user_id == _space.owner_id, isouter=True)
        .join(templates, templates.c.template_id == _space.template_id, isouter=True)
        .where(_space.deployment == deployment, _space.deleted == false(), _space.build_number.is_not(None))
        .group_by(*keys)
    )


def _build_totals(deployment: str) -> Select[Any]:
    total = workspace_build_totals.c
    owners = _named_by_agents(deployment, _agent.user_id, _agent.username)
    templates = _named_by_agents(deployment, _agent.template_id, _agent.template_name)
    its = and_(_space.deployment == total.deployment, _space.id == total.workspace_id)
    return (
        select(
            _name(owners.c.name, _space.owner_id),
            _space.name,
            _name(templates.c.name, _space.template_id),
            total.transition,
            total.succeeded,
            total.count,
        )
        .join_from(workspace_build_totals, workspaces, its)
        .join(owners, owners.c.user_id == _space.owner_id, isouter=True)
        .join(templates, templates.c.template_id == _space.template_id, isouter=True)
        .where(total.deployment == deployment)
    )
