"""The four orders of the list, its filters, and what is grouped across projects."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from sqlalchemy import Connection, insert, update

from collector.persist.csp import CspRows
from collector.persist.csp_ranks import first_rank, next_rank, ratio
from collector.persist.engine import Store
from collector.persist.tables import violation_facets, violations
from collector.rollup import violation_list
from collector.rollup.violation_groups import violation_groups
from collector.rollup.violation_list import violation_query
from collector.rollup.violation_list import violations as listed
from collector.wire.violations import Noise, Sort, ViolationQuery
from tests.rollup.rows import NOW, add_project, add_violation

HOUR, DAY = 3_600_000, 86_400_000


def walk(connection: Connection, query: ViolationQuery, visible: frozenset[int] | None = None) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    for _ in range(1_000):
        page = listed(connection, query, now=NOW, visible=visible)
        found += [row.id for row in page.results]
        if page.next is None:
            return found
        query = msgspec.structs.replace(query, after=page.next)
    raise AssertionError("a cursor that does not move")


def some(connection: Connection) -> None:
    """Six violations of two projects, the third of which is noise."""
    shop, blog = add_project(connection, "shop"), add_project(connection, "blog")
    add_violation(connection, shop, "a", count=5, count_enforce=5, last_seen=NOW - 6)
    add_violation(
        connection, shop, "b", count=9, count_report=9, last_seen=NOW - 2, blocked_kind="inline", blocked_key="inline"
    )
    add_violation(connection, blog, "c", count=7, last_seen=NOW - 1, noise_class="translator")
    add_violation(connection, blog, "d", count=7, last_seen=NOW - 1, document_origin="https://blog.example")
    add_violation(connection, blog, "e", count=1, last_seen=NOW - 9, blocked_origin="https://x.example", state="ignored")
    f = add_violation(connection, blog, "f", count=5, last_seen=NOW - 9, first_seen=NOW - 9, place="https://x/100%_a.js:7")
    facet = {"kind": "document", "value": "https://blog.example/post", "count": 1, "first_seen": NOW, "last_seen": NOW}
    connection.execute(insert(violation_facets).values(violation_id=f, **facet))


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_each_order_is_walked_whole(store: Store, limit: int) -> None:
    """By count, by last report and by age: each violation once, of equals the newer first, whatever the size of a page."""

    def work(connection: Connection) -> None:
        some(connection)
        orders = {Sort.COUNT: "bdcfae", Sort.LAST_SEEN: "dcbafe", Sort.FIRST_SEEN: "fedcba"}
        for sort, expected in orders.items():
            query = ViolationQuery(sort=sort, limit=limit, noise=Noise.INCLUDE)
            assert walk(connection, query) == list(expected)
        assert sorted(walk(connection, ViolationQuery(sort=Sort.TREND, limit=limit, noise=Noise.INCLUDE))) == list("abcdef")

    await store.transact(work)


FILTERS = (
    ({"kind": "inline"}, "b"),
    ({"origin": "https://x.example"}, "e"),
    ({"disposition": "report"}, "b"),
    ({"disposition": "enforce"}, "a"),
    ({"state": "ignored"}, "e"),
    ({"state": "open", "project": "blog"}, "fd"),
    ({"document": "https://blog.example"}, "d"),
    ({"document": "https://blog.example/post"}, "f"),
    ({"since": "2026-01-14T09:59:59.998Z"}, "db"),
    ({"since": "2026-01-14T10:59:59.998 01:00"}, "db"),  # a query string has a blank for the plus sign
    ({"until": "2026-01-14T09:59:59.991Z"}, "edba"),
    ({"until": "1768384799.991"}, "edba"),
    ({"text": "100%_A"}, "f"),
    ({"text": "100%0"}, ""),
    ({"text": "INLINE"}, "b"),
    ({"directive": "script-src-elem", "project": "shop", "text": "cdn"}, "a"),
)


async def test_filters(store: Store) -> None:
    """Each filter leaves just what it names, alone and with others, and the count agrees."""

    def work(connection: Connection) -> None:
        some(connection)
        for parameters, expected in FILTERS:
            for limit in ("1", "100"):
                query = violation_query(parameters | {"limit": limit})
                assert walk(connection, query) == list(expected), parameters
                assert listed(connection, query, now=NOW).count == len(expected), parameters

    await store.transact(work)


async def test_text_finds_an_id(store: Store) -> None:
    """Whoever has the whole id of a violation, from a board or an alert, finds it; a part of it is no id."""

    def work(connection: Connection) -> None:
        some(connection)
        add_violation(connection, add_project(connection, "docs"), "0123456789abcdef")
        assert walk(connection, ViolationQuery(text="0123456789abcdef")) == ["0123456789abcdef"]
        assert walk(connection, ViolationQuery(text="0123456789abcde")) == []

    await store.transact(work)


async def test_a_page_looks_at_a_bounded_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rare match far down the list is found by walking on: a page may be short and still have a next one."""
    monkeypatch.setattr(violation_list, "LOOKED_AT", 10)

    def work(connection: Connection) -> None:
        shop = add_project(connection)
        for number in range(45):
            add_violation(connection, shop, f"v{number}", count=number, blocked_kind="eval" if number in (3, 21) else "inline")
        for sort in Sort:
            query = ViolationQuery(sort=sort, kind="eval", limit=5)
            assert sorted(walk(connection, query)) == ["v21", "v3"]
        first = listed(connection, ViolationQuery(sort=Sort.COUNT, kind="eval", limit=5), now=NOW)
        assert (first.results, first.next is not None) == ([], True)

    await store.transact(work)


async def test_a_member_sees_the_projects_it_was_named_for(store: Store) -> None:
    """What is not visible is in no page, no count and no group, also when it is asked for by name."""

    def work(connection: Connection) -> None:
        some(connection)
        both = frozenset((1, 2))
        assert walk(connection, ViolationQuery(), frozenset((1,))) == ["b", "a"]
        assert walk(connection, ViolationQuery(sort=Sort.COUNT, limit=1), both) == list("bdfae")
        for visible in (frozenset[int](), frozenset((1,))):
            page = listed(connection, ViolationQuery(project="blog"), now=NOW, visible=visible)
            assert (page.count, page.results, page.next) == (0, [], None)
        assert [group.projects for group in violation_groups(connection, ViolationQuery(), visible=frozenset((1,)))] == [
            ["shop"],
            ["shop"],
        ]

    await store.transact(work)


async def test_the_same_violation_of_many_projects_is_one_group(store: Store) -> None:
    """What is blocked alike is one entry with its projects, the most reported first; filters hold."""

    def work(connection: Connection) -> None:
        for name in ("shop", "blog", "wiki"):
            project = add_project(connection, name)
            add_violation(connection, project, f"{name}-a", count=4, first_seen=NOW - project)
            add_violation(connection, project, f"{name}-b", count=5, effective_directive=f"img-src-{name}")
        first, *others = violation_groups(connection, ViolationQuery())
        assert (first.projects, first.violations, first.count) == (["blog", "shop", "wiki"], 3, 12)
        assert first.first_seen == violation_list.time(NOW - 3)
        assert sorted((group.projects, group.count) for group in others) == [(["blog"], 5), (["shop"], 5), (["wiki"], 5)]
        assert len(violation_groups(connection, ViolationQuery(project="wiki"))) == 2

    await store.transact(work)


async def test_ranks_follow_the_counts(store: Store) -> None:
    """After a flush the list is sorted by what was counted; what nobody told of waits for its next report."""
    rows = CspRows()

    def work(connection: Connection) -> None:
        some(connection)
        grown = update(violations).where(violations.c.fingerprint.in_(("a", "e")))
        connection.execute(grown.values(count=100, last_seen=NOW + DAY))

    await store.transact(work)
    rows.ranks.note(["a", "unknown"])
    rows.ranks.ended()
    await rows.flush(store.transact)
    found = await store.read(lambda connection: walk(connection, ViolationQuery(sort=Sort.COUNT)))
    assert found[:2] == ["a", "b"]
    page = await store.read(lambda connection: listed(connection, ViolationQuery(sort=Sort.LAST_SEEN, limit=1), now=NOW))
    assert (page.results[0].id, page.results[0].days) == ("a", 2)


def test_a_trend_compares_with_what_is_usual() -> None:
    """A steady rate is 1, ten times as much is far above, silence goes towards 0; and time changes no order."""
    hourly = first_rank(10, NOW)
    for hour in range(1, 24 * 60):
        hourly = next_rank(hourly, 10 * (hour + 1), NOW + hour * HOUR)
    now = NOW + 24 * 60 * HOUR
    assert ratio(hourly.trend, now) == pytest.approx(1, rel=0.1)
    risen = next_rank(hourly, hourly.ranked_count + 1_000, now)
    assert ratio(risen.trend, now) > 5
    assert ratio(hourly.trend, now + 3 * DAY) < 0.01
    assert ratio(first_rank(3, now).trend, now) == pytest.approx(28)
    for one, other in itertools.combinations((hourly, risen, first_rank(3, now)), 2):
        later = now + 20 * DAY
        assert (one.trend < other.trend) == (ratio(one.trend, later) < ratio(other.trend, later))
