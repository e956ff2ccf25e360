"""A violation is told once for each thing that happens to it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from collector.persist.csp_ranks import first_rank, next_rank
from collector.persist.engine import Store
from collector.persist.tables import csp_alerts, violation_clients, violations
from collector.rollup.alerts import raise_alerts, settle, waiting_alerts
from collector.wire.alerts import AlertKind, AlertRules
from tests.rollup.rows import NOW, add_project, add_violation

RULES = AlertRules(reports=10, clients=3, trend=5)
DAY = 86_400_000


def seen(connection: Connection, fingerprint: str = "aa", clients: int = 3, **columns: Any) -> int:
    """A violation of this hour that passes the rules, in a project of its own unless one is given; ``columns`` replace its."""
    new = {"count": 10, "ranked_count": 10, "ranked_seen": NOW, "stored_at": NOW - 1000, "trend": 0.0} | columns
    project = new.pop("project_id", None) or add_project(connection, f"of-{fingerprint}")
    violation = add_violation(connection, project, fingerprint, **new)
    connection.execute(insert(violation_clients).values(violation_id=violation, day=1, sketch=b"", peak=clients))
    return violation


async def raised(store: Store, now: int = NOW, rules: AlertRules = RULES) -> list[AlertKind]:
    """What is raised now, and waits."""
    before = {alert.row for alert in await store.read(partial(waiting_alerts, now=now))}
    count = await store.transact(partial(raise_alerts, rules=rules, now=now))
    new = [alert.kind for alert in await store.read(partial(waiting_alerts, now=now)) if alert.row not in before]
    assert len(new) == count
    return new


async def test_a_new_violation_is_raised_once(store: Store) -> None:
    """The first time that it passes, and never again, delivered or not."""
    await store.transact(seen)

    assert await raised(store) == [AlertKind.NEW]
    assert await raised(store) == []
    (alert,) = await store.read(partial(waiting_alerts, now=NOW))
    assert (alert.project, alert.violation, alert.reports, alert.clients) == ("of-aa", "aa", 10, 3)
    await store.transact(partial(settle, rows=[alert.row], delivered_at=NOW))
    assert await raised(store, NOW + DAY - 1) == []
    assert await store.read(partial(waiting_alerts, now=NOW + DAY)) == []


@pytest.mark.parametrize(
    "columns",
    [
        {"ranked_count": 9},
        {"clients": 2},
        {"noise_class": "browser-extension"},
        {"state": "ignored"},
        {"state": "acknowledged"},
        {"stored_at": NOW - 8 * DAY},
        {"ranked_seen": NOW - 2 * DAY},
    ],
)
async def test_what_is_not_worth_it(store: Store, columns: dict[str, Any]) -> None:
    """Below the thresholds, noise, or what somebody has dealt with raises nothing; nor does what was there long before."""
    await store.transact(partial(seen, **columns))

    assert await raised(store) == []


async def test_each_reopening_is_raised(store: Store) -> None:
    """A report that reopens a violation is news, every time."""
    old: dict[str, Any] = {"stored_at": NOW - 100 * DAY, "state_by": "report", "state_at": NOW - 1000}
    violation = await store.transact(partial(seen, **old))

    assert await raised(store) == [AlertKind.REOPENED]
    assert await raised(store) == []
    await store.transact(lambda c: c.execute(update(violations).where(violations.c.id == violation).values(state_at=NOW)))
    assert await raised(store) == [AlertKind.REOPENED]


async def test_a_trend_is_raised_once_a_week(store: Store) -> None:
    """A violation that had its rate for weeks, and now comes at a multiple of it."""
    rank = first_rank(10, NOW - 40 * DAY)
    for day in range(39, 0, -1):
        rank = next_rank(rank, rank.ranked_count + 10, NOW - day * DAY)
    calm = rank._asdict() | {"ranked_seen": NOW, "stored_at": NOW - 40 * DAY}
    stormy = next_rank(rank, rank.ranked_count + 500, NOW)._asdict() | {"stored_at": NOW - 40 * DAY}
    await store.transact(partial(seen, fingerprint="aa", **calm))
    await store.transact(partial(seen, fingerprint="bb", **stormy))

    assert await raised(store) == [AlertKind.TRENDING]
    (alert,) = await store.read(partial(waiting_alerts, now=NOW))
    assert alert.violation == "bb"
    assert await raised(store) == []


async def test_a_digest_goes_together(store: Store) -> None:
    """Nothing is due before the first alert has waited; then those of its project that came since go with it."""
    await store.transact(partial(seen, fingerprint="aa"))
    project = await store.read(lambda c: c.scalar(select(violations.c.project_id)))
    await store.transact(partial(raise_alerts, rules=RULES, now=NOW, digest_ms=DAY))
    await store.transact(partial(seen, fingerprint="bb", project_id=project))
    await store.transact(partial(raise_alerts, rules=RULES, now=NOW + 1000, digest_ms=DAY))

    assert await store.read(partial(waiting_alerts, now=NOW + DAY - 1)) == []
    assert [alert.violation for alert in await store.read(partial(waiting_alerts, now=NOW + DAY))] == ["aa", "bb"]


async def test_what_failed_waits(store: Store) -> None:
    """A vain attempt makes it due later; one that was given up is never due again."""
    await store.transact(seen)
    await raised(store)
    (alert,) = await store.read(partial(waiting_alerts, now=NOW))

    await store.transact(partial(settle, rows=[alert.row], next_at=NOW + 30_000))
    assert await store.read(partial(waiting_alerts, now=NOW)) == []
    (again,) = await store.read(partial(waiting_alerts, now=NOW + 30_000))
    assert (again.id, again.attempts) == (alert.id, 1)
    await store.transact(partial(settle, rows=[alert.row]))
    assert await store.read(partial(waiting_alerts, now=NOW + 100 * DAY)) == []
    assert await store.read(lambda c: c.scalar(select(csp_alerts.c.attempts))) == 2
