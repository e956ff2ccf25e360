"""Violations counted for dashboards: how many there are in each state, how many are new, and which have the most reports.

All of them are looked at, which takes 150 ms of a hundred thousand: it is done with each snapshot, and not for a scrape.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from collector.persist.tables import projects, violations

HOUR_MS = 3_600_000
NEW_AT_MOST = 5_000  # rows looked at: about 5 ms; COLLECTOR_CSP_NEW_VIOLATIONS lets a project make fewer in an hour
TOP = 50


class StateCount(NamedTuple):
    """Violations of a project in one state; noise is whether a noise rule matches them."""

    project: str
    state: str
    noise: bool
    amount: int


class NewCount(NamedTuple):
    """Violations of a project that were first stored in the last hour, by noise class ("none")."""

    project: str
    noise_class: str
    amount: int


class TopViolation(NamedTuple):
    """An open violation that is no noise, and its reports so far."""

    project: str
    directive: str  # "unknown" when it is not known
    blocked_kind: str
    fingerprint: str
    amount: int


class ViolationCounts(NamedTuple):
    """All counts of one moment; ``all_new`` is whether ``new`` holds all that there are."""

    states: list[StateCount]
    new: list[NewCount]
    top: list[TopViolation]
    all_new: bool = True


def violation_counts(connection: Connection, *, now: int, most: int = NEW_AT_MOST) -> ViolationCounts:
    """The counts as they are at ``now`` (ms). The top follows the reports at some seconds' distance."""
    since = now - HOUR_MS
    kept = violations.c
    next_one = connection.scalar(select(kept.stored_at).order_by(kept.id.desc()).offset(most).limit(1))
    all_new = next_one is None or next_one <= since
    return ViolationCounts(_states(connection), _new(connection, since, most), _top(connection), all_new)


def _states(connection: Connection) -> list[StateCount]:
    kept, noise = violations.c, violations.c.noise_class.is_not(None)
    counted = select(kept.project_id, kept.state, noise, func.count()).group_by(kept.project_id, kept.state, noise).subquery()
    rows = connection.execute(select(projects.c.name, *list(counted.c)[1:]).join_from(counted, projects))
    return sorted(StateCount(project, state, bool(is_noise), count) for project, state, is_noise, count in rows)


def _new(connection: Connection, since: int, most: int) -> list[NewCount]:
    kept = violations.c
    # The newest along the primary key: what is stored later has a higher id, and no index on stored_at is to be kept.
    newest = select(kept.project_id, kept.noise_class, kept.stored_at).order_by(kept.id.desc()).limit(most).subquery()
    counted = (
        select(projects.c.name, newest.c.noise_class, func.count())
        .join_from(newest, projects)
        .where(newest.c.stored_at > since)
        .group_by(projects.c.name, newest.c.noise_class)
    )
    return sorted(NewCount(project, noise or "none", count) for project, noise, count in connection.execute(counted))


def _top(connection: Connection) -> list[TopViolation]:
    kept = violations.c
    top = (
        select(projects.c.name, kept.effective_directive, kept.blocked_kind, kept.fingerprint, kept.count)
        .join_from(violations, projects)
        .where(kept.noise_class.is_(None), kept.state == "open")
        .order_by(kept.ranked_count.desc(), kept.id.desc())
        .limit(TOP)
    )
    rows = connection.execute(top)
    return [TopViolation(project, directive or "unknown", kind, name, count) for project, directive, kind, name, count in rows]
