"""Which violations are worth an alert, and what has become of each alert. ``outbound/webhooks.py`` does the telling.

An alert is a row before it is sent: a service that dies between the two sends it after its next start, and what was
delivered is never raised again. Only violations that came within the last day are looked at, along an index.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from sqlalchemy import BigInteger, Connection, RowMapping, and_, exists, func, literal, or_, select, update

from collector.persist.csp_ranks import FADES, STEADY
from collector.persist.engine import insert
from collector.persist.tables import csp_alerts, projects, violation_clients, violations
from collector.wire.alerts import Alert, AlertKind, AlertRules

DAY_MS = 86_400_000
NEW_FOR_MS = 7 * DAY_MS  # so long a violation may take to come often enough, and still be new
USUAL_AFTER_MS = 2 * DAY_MS  # before it has a usual rate nothing is trending
TREND_ONCE_MS = 7 * DAY_MS  # a trend is told once a week
AT_ONCE = 200  # alerts of one run: a flood of new violations is told over several


def raise_alerts(connection: Connection, rules: AlertRules, *, now: int, digest_ms: int = 0) -> int:
    """Make an alert of each violation that is new, reopened or trending and passes ``rules``, once; returns how many.

    It is to be sent ``digest_ms`` after ``now``, or earlier with another one of its project.
    """
    one = violations.c
    passes = and_(
        one.ranked_seen >= now - DAY_MS,
        one.noise_class.is_(None),
        one.state == "open",
        one.ranked_count >= rules.reports,
        func.coalesce(violation_clients.c.peak, 0) >= rules.clients,
    )
    at_trend = math.log2(rules.trend) + now * FADES + STEADY
    this_week = literal(now // TREND_ONCE_MS * TREND_ONCE_MS, BigInteger)
    happened = (
        (AlertKind.NEW, one.stored_at, one.stored_at >= now - NEW_FOR_MS),
        (AlertKind.REOPENED, one.state_at, one.state_by == "report"),
        (AlertKind.TRENDING, this_week, and_(one.trend >= at_trend, one.stored_at < now - USUAL_AFTER_MS)),
    )
    raised = 0
    for kind, about, condition in happened:
        told = exists().where(csp_alerts.c.violation_id == one.id, csp_alerts.c.kind == kind.value, csp_alerts.c.about == about)
        found = (
            select(one.id, about.label("about")).outerjoin_from(violations, violation_clients).where(passes, condition, ~told)
        )
        rows = [
            {"violation_id": row.id, "kind": kind.value, "about": row.about, "raised_at": now, "next_at": now + digest_ms}
            for row in connection.execute(found.order_by(one.id).limit(AT_ONCE))
        ]
        if rows:
            connection.execute(insert(connection.dialect.name, csp_alerts).on_conflict_do_nothing(), rows)
        raised += len(rows)
    return raised


def waiting_alerts(connection: Connection, *, now: int) -> list[Alert]:
    """The alerts that are due by ``now`` and those that go with them, oldest first, at most 200."""
    due = (
        select(violations.c.project_id)
        .join_from(csp_alerts, violations)
        .where(csp_alerts.c.next_at <= now)
        .order_by(csp_alerts.c.next_at)
        .limit(AT_ONCE)
    )
    sendable = and_(csp_alerts.c.next_at.is_not(None), or_(csp_alerts.c.next_at <= now, csp_alerts.c.attempts == 0))
    found = (
        select(csp_alerts, violations, projects.c.name.label("project"), violation_clients.c.peak)
        .join_from(csp_alerts, violations)
        .join(projects, projects.c.id == violations.c.project_id)
        .outerjoin(violation_clients, violation_clients.c.violation_id == violations.c.id)
        .where(sendable, violations.c.project_id.in_(due))
        .order_by(csp_alerts.c.id)
        .limit(AT_ONCE)
    )
    return [_alert(row) for row in connection.execute(found).mappings()]


def _alert(row: RowMapping) -> Alert:
    return Alert(
        row=row[csp_alerts.c.id],
        id=f"{row['fingerprint']}-{row['kind']}-{row['about']}",
        kind=AlertKind(row["kind"]),
        project=row["project"],
        violation=row["fingerprint"],
        effective_directive=row["effective_directive"],
        blocked=row["blocked_origin"] or row["blocked_kind"],
        document_origin=row["document_origin"],
        reports=row["count"],
        clients=row["peak"] or 0,
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        raised_at=row["raised_at"],
        attempts=row["attempts"],
    )


def settle(
    connection: Connection, rows: Collection[int], *, delivered_at: int | None = None, next_at: int | None = None
) -> None:
    """Note that these alerts were delivered, or were tried in vain and are due again at ``next_at`` (None: given up)."""
    connection.execute(
        update(csp_alerts)
        .where(csp_alerts.c.id.in_(sorted(rows)))
        .values(attempts=csp_alerts.c.attempts + 1, delivered_at=delivered_at, next_at=next_at)
    )
