"""How projects are doing: whether anything comes in, and how far their policies are from being enforced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from collector.persist.keys import list_keys
from collector.persist.members import members_by_project
from collector.persist.meta import CANARY_PROJECT
from collector.persist.projects import Project as Stored
from collector.persist.projects import list_projects
from collector.persist.tables import project_activity, violations
from collector.persist.tables import projects as stored
from collector.rollup.violation_list import COUNTED, time
from collector.wire.projects import Endpoint, Project, Readiness
from collector.wire.violations import State

DAY_MS = 86_400_000
SILENT_AFTER_MS = DAY_MS
OBSERVED_DAYS, QUIET_DAYS = 14, 7  # two weeks hold two of each day; what a release brings shows within one


class _Signals(NamedTuple):
    """The violations of a project that are no noise."""

    newest: int | None  # when it was first stored
    unsettled: int  # open ones, counted up to ``COUNTED``


def projects(connection: Connection, *, now: int, visible: Collection[int] | None = None) -> list[Project]:
    """The ``visible`` projects (None: all), by name, retired ones included."""
    keys: defaultdict[int, list[str]] = defaultdict(list)
    for listing in list_keys(connection):
        if listing.public_key and listing.revoked_at is None:
            keys[listing.key.project_id].append(listing.public_key)
    members, signals = members_by_project(connection), _signals(connection)
    heard = {row.project_id: row for row in connection.execute(select(project_activity))}
    return [
        _shown(project, keys[project.id], members.get(project.id, []), heard.get(project.id), signals[project.id], now)
        for project in list_projects(connection)
        if visible is None or project.id in visible
    ]


def project_names(connection: Connection, *, visible: Collection[int] | None = None) -> list[str]:
    """The names of the ``visible`` projects (None: all), in order; the canary's is none to choose, for it has no violations."""
    seen = [project for project in list_projects(connection) if visible is None or project.id in visible]
    return [project.name for project in seen if project.name != CANARY_PROJECT]


def _shown(
    project: Stored, keys: list[str], members: list[str], heard: Row[Any] | None, signals: _Signals, now: int
) -> Project:
    return Project(
        name=project.name,
        created_at=time(project.created_at),
        retired_at=None if project.retired_at is None else time(project.retired_at),
        allowed_origins=None if project.allowed_origins is None else list(project.allowed_origins),
        retention_days=project.retention_days,
        sample_rate=project.sample_rate,
        ingest_rate=project.ingest_rate,
        browser_keys=keys,
        members=members,
        endpoint=_endpoint(heard.last_at if heard else None, now),
        last_report_at=time(heard.last_at) if heard else None,
        readiness=_readiness(signals, heard.days if heard else 0, now),
    )


def _endpoint(last_at: int | None, now: int) -> Endpoint:
    if last_at is None:
        return Endpoint.NEVER_SEEN
    return Endpoint.LIVE if now - last_at < SILENT_AFTER_MS else Endpoint.SILENT


def _readiness(signals: _Signals, days: int, now: int) -> Readiness:
    quiet = None if signals.newest is None else max(now - signals.newest, 0) // DAY_MS
    ready = days >= OBSERVED_DAYS and (quiet is None or quiet >= QUIET_DAYS) and not signals.unsettled
    return Readiness(days_observed=days, days_since_new=quiet, open_violations=signals.unsettled, ready=ready)


def _signals(connection: Connection) -> dict[int, _Signals]:
    """Of each project, by its id.

    One statement for all of them, in which each project costs a look into an index and a count that ends.
    """
    signal = select(violations.c.id).where(violations.c.project_id == stored.c.id, violations.c.noise_class.is_(None))
    newest = signal.with_only_columns(violations.c.stored_at).order_by(violations.c.id.desc()).limit(1)
    some = signal.where(violations.c.state == State.OPEN.value).limit(COUNTED).correlate(stored).subquery()
    unsettled = select(func.count()).select_from(some)
    found = select(
        stored.c.id,
        newest.correlate(stored).scalar_subquery().label("newest"),
        unsettled.scalar_subquery().label("unsettled"),
    )
    return {row.id: _Signals(row.newest, row.unsettled) for row in connection.execute(found)}
