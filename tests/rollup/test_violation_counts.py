"""What dashboards count of violations, on both databases."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from collector.persist.engine import Store
from collector.rollup.violation_counts import HOUR_MS, TOP, NewCount, StateCount, TopViolation, violation_counts
from tests.rollup.rows import NOW, add_project, add_violation

NOISE = "browser-extension"


async def test_counts_of_two_projects(store: Store) -> None:
    """Violations count by state and noise, new ones by noise class within an hour, and the top leaves noise and others out."""

    def work(connection: Connection) -> None:
        shop, blog = add_project(connection, "shop"), add_project(connection, "blog")
        add_violation(connection, shop, "a", count=7, stored_at=NOW - HOUR_MS)
        add_violation(connection, shop, "b", count=9, stored_at=NOW - HOUR_MS + 1, effective_directive=None)
        add_violation(connection, shop, "c", count=99, stored_at=NOW, noise_class=NOISE)
        add_violation(connection, blog, "d", count=50, stored_at=NOW, state="resolved")
        add_violation(connection, blog, "e", count=8, stored_at=NOW, blocked_kind="inline")

    await store.transact(work)
    counts = await store.read(lambda connection: violation_counts(connection, now=NOW))

    assert counts.states == [
        StateCount("blog", "open", noise=False, amount=1),
        StateCount("blog", "resolved", noise=False, amount=1),
        StateCount("shop", "open", noise=False, amount=2),
        StateCount("shop", "open", noise=True, amount=1),
    ]
    assert counts.new == [NewCount("blog", "none", 2), NewCount("shop", NOISE, 1), NewCount("shop", "none", 1)]
    assert counts.top == [
        TopViolation("shop", "unknown", "origin", "b", 9),
        TopViolation("blog", "script-src-elem", "inline", "e", 8),
        TopViolation("shop", "script-src-elem", "origin", "a", 7),
    ]


async def test_the_top_is_short(store: Store) -> None:
    """Of more violations than are named, those with the most reports are."""

    def work(connection: Connection) -> None:
        shop = add_project(connection)
        for number in range(TOP + 9):
            add_violation(connection, shop, f"{number:03}", count=number + 1)

    await store.transact(work)
    counts = await store.read(lambda connection: violation_counts(connection, now=NOW))

    assert [violation.amount for violation in counts.top] == list(range(TOP + 9, 9, -1))


async def test_more_new_ones_than_are_looked_at(store: Store) -> None:
    """It is said when some of the hour were not looked at, and not when only older ones were not."""

    def work(connection: Connection) -> None:
        shop = add_project(connection, "shop")
        for number in range(5):
            add_violation(connection, shop, f"{number}", count=1, stored_at=NOW - (HOUR_MS if number < 2 else 0))

    await store.transact(work)
    for most, all_new in ((5, True), (3, True), (2, False)):
        counts = await store.read(partial(violation_counts, now=NOW, most=most))
        assert (counts.new, counts.all_new) == ([NewCount("shop", "none", min(most, 3))], all_new)
