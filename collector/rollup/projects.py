"""How projects are doing: whether anything comes in, and how far their policies are from being enforced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Connection, func, select

from collector.persist.keys import list_keys
from collector.persist.members import members_of
from collector.persist.meta import CANARY_PROJECT
from collector.persist.projects import Project as Stored
from collector.persist.projects import list_projects
from collector.persist.tables import project_activity, violations
from collector.rollup.violation_list import COUNTED, time
from collector.wire.projects import Endpoint, Project, Readiness
from collector.wire.violations import State

DAY_MS = 86_400_000
SILENT_AFTER_MS = DAY_MS
OBSERVED_DAYS, QUIET_DAYS = 14, 7  # two weeks hold two of each day; what a release brings shows within one


def projects(connection: Connection, *, now: int, visible: Collection[int] | None = None) -> list[Project]:
    """The ``visible`` projects (None: all), by name, retired ones included."""
    keys: defaultdict[int, list[str]] = defaultdict(list)
    for listing in list_keys(connection):
        if listing.public_key and listing.revoked_at is None:
            keys[listing.key.project_id].append(listing.public_key)
    return [
        _shown(connection, project, keys[project.id], now)
        for project in list_projects(connection)
        if visible is None or project.id in visible
    ]


def project_names(connection: Connection, *, visible: Collection[int] | None = None) -> list[str]:
    """The names of the ``visible`` projects (None: all), in order; the canary's is none to choose, for it has no violations."""
    seen = [project for project in list_projects(connection) if visible is None or project.id in visible]
    return [project.name for project in seen if project.name != CANARY_PROJECT]


def _shown(connection: Connection, project: Stored, keys: list[str], now: int) -> Project:
    heard = connection.execute(select(project_activity).where(project_activity.c.project_id == project.id)).first()
    return Project(
        name=project.name,
        created_at=time(project.created_at),
        retired_at=None if project.retired_at is None else time(project.retired_at),
        allowed_origins=None if project.allowed_origins is None else list(project.allowed_origins),
        retention_days=project.retention_days,
        sample_rate=project.sample_rate,
        ingest_rate=project.ingest_rate,
        browser_keys=keys,
        members=members_of(connection, project.id),
        endpoint=_endpoint(heard.last_at if heard else None, now),
        last_report_at=time(heard.last_at) if heard else None,
        readiness=_readiness(connection, project.id, heard.days if heard else 0, now),
    )


def _endpoint(last_at: int | None, now: int) -> Endpoint:
    if last_at is None:
        return Endpoint.NEVER_SEEN
    return Endpoint.LIVE if now - last_at < SILENT_AFTER_MS else Endpoint.SILENT


def _readiness(connection: Connection, project_id: int, days: int, now: int) -> Readiness:
    signal = (violations.c.project_id == project_id) & violations.c.noise_class.is_(None)
    newest = connection.scalar(select(violations.c.stored_at).where(signal).order_by(violations.c.id.desc()).limit(1))
    some = select(violations.c.id).where(signal, violations.c.state == State.OPEN.value).limit(COUNTED).subquery()
    unsettled = connection.scalar(select(func.count()).select_from(some)) or 0
    quiet = None if newest is None else max(now - newest, 0) // DAY_MS
    ready = days >= OBSERVED_DAYS and (quiet is None or quiet >= QUIET_DAYS) and not unsettled
    return Readiness(days_observed=days, days_since_new=quiet, open_violations=unsettled, ready=ready)
