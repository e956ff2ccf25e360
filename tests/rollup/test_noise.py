"""When noise rules change, stored violations follow: moved or merged with all they have, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from collector.normalize.filters import SHIPPED, NoiseFilter
from collector.normalize.fingerprint import fingerprint
from collector.normalize.noise_rules import effective_rules
from collector.normalize.rejudge import Rejudge, digests
from collector.normalize.remembered import Remembered
from collector.persist.csp import CspRows
from collector.persist.engine import Store
from collector.persist.merging import MERGES
from collector.persist.rejudging import begin, judged_by, rejudging
from collector.persist.sketch import estimate, mark, unpacked
from collector.persist.tables import (
    csp_minutes,
    csp_samples,
    csp_totals,
    metadata,
    noise_rule_totals,
    violation_clients,
    violation_facets,
    violations,
)
from collector.rollup import noise
from collector.rollup.noise import Move, class_sizes, matches, moves, rejudge
from collector.wire.noise import StoredViolation
from collector.wire.records import CspIntake, NoiseClass
from tests.rollup.rows import NOW, add_project, add_violation, rows

PROBE = {"name": "probe", "class": "security-software", "hosts": ["probe.example"]}
PROBED = NoiseFilter(effective_rules({"rules": [PROBE]}, place="test"))


def legacy(blocked: str, *, policy: str = "default-src 'self'", document: str = "https://shop.example/") -> bytes:
    return (
        b'{"csp-report":{"document-uri":"%b","effective-directive":"script-src-elem","disposition":"enforce",'
        b'"original-policy":"%b","blocked-uri":"%b"}}' % (document.encode(), policy.encode(), blocked.encode())
    )


def intake(body: bytes, by: NoiseFilter = SHIPPED, *, at: int = NOW, client: int = 1) -> CspIntake:
    """What a body brings when these rules are in effect."""
    brought = Remembered(by).arrived(body, user_agent="Mozilla/5.0 Firefox/153.0", project="default", now=0)
    names = tuple(fingerprint("shop", report.group) for report in brought.reports)
    return CspIntake(1, "d", at, brought.reports, names, client=mark(client.to_bytes(8, "big")))


async def take(store: Store, *intakes: CspIntake) -> None:
    """Store some intakes, each a batch of its own."""
    own = CspRows()
    for each in intakes:
        await store.transact(lambda connection, each=each: own.store(connection, [each]))  # type: ignore[misc]
        own.ended(whole=True)
    await own.flush(store.transact)


async def follow(store: Store, by: NoiseFilter) -> None:
    """What a start with these rules does."""
    await store.transact(lambda connection: begin(connection, digests(by)))
    await rejudge(store, store.transact, digests(by), lambda known: Rejudge(by, known))


async def listed(store: Store) -> dict[str | None, tuple[int, str | None]]:
    """Reports and rule of each violation, by its class."""

    def read(connection: Connection) -> dict[str | None, tuple[int, str | None]]:
        columns = violations.c
        found = connection.execute(select(columns.noise_class, columns.count, columns.noise_rule))
        return {noise_class: (count, rule) for noise_class, count, rule in found}

    return await store.read(read)


async def sums(store: Store) -> tuple[int, int, int]:
    """Reports by the violations, by the minutes and by the exported sums."""

    def read(connection: Connection) -> tuple[int, int, int]:
        minutes = csp_minutes.c.enforce + csp_minutes.c.report + csp_minutes.c.unknown
        columns = (violations.c.count, minutes, csp_totals.c.count)
        return tuple(int(connection.scalar(select(func.sum(column))) or 0) for column in columns)  # type: ignore[return-value]

    return await store.read(read)


@pytest.fixture
async def shop(store: Store) -> Store:
    """A store whose violations are judged by the shipped rules."""
    await store.transact(add_project)
    await follow(store, SHIPPED)
    return store


async def test_a_violation_moves_to_its_new_fingerprint(shop: Store) -> None:
    """It is the row that a new report of the same kind is counted in, with all it had."""
    await take(shop, intake(legacy("https://a.probe.example/x.js")), intake(legacy("https://cdn.example/x.js")))
    await follow(shop, PROBED)
    assert await listed(shop) == {"security-software": (1, "probe"), None: (1, None)}

    await take(shop, intake(legacy("https://a.probe.example/x.js"), PROBED, at=NOW + 60_000))
    assert await listed(shop) == {"security-software": (2, "probe"), None: (1, None)}
    assert await sums(shop) == (3, 3, 3)
    assert await shop.read(rejudging) is None
    assert await shop.read(judged_by) == dict(digests(PROBED))


async def test_a_violation_merges_into_one_that_is_there(shop: Store) -> None:
    """Counts, buckets, samples, facets and clients add up; first and last seen are those of both."""
    body = legacy("https://a.probe.example/x.js")
    other = legacy("https://a.probe.example/y.js", document="https://shop.example/b", policy="img-src 'self'")
    await take(shop, *(intake(body, client=n, at=NOW + n * 1000) for n in range(4)))
    await take(shop, intake(other, PROBED, at=NOW + 90_000, client=9), intake(body, PROBED, at=NOW - 60_000, client=1))
    assert len(await listed(shop)) == 2
    await follow(shop, PROBED)

    assert await listed(shop) == {"security-software": (6, "probe")}
    assert await sums(shop) == (6, 6, 6)

    def read(connection: Connection) -> tuple[dict[Any, Any], dict[str, dict[str, int]]]:
        facets: dict[str, dict[str, int]] = {}
        columns = violation_facets.c
        for kind, value, count in connection.execute(select(columns.kind, columns.value, columns.count)):
            facets.setdefault(kind, {})[value] = count
        (clients,) = connection.execute(select(violation_clients)).all()
        assert (clients.peak, estimate(unpacked(clients.sketch))) == (5, 5)
        assert rows(connection, csp_samples) == 3  # of three minutes
        return dict(connection.execute(select(violations)).mappings().one()), facets

    row, facets = await shop.read(read)
    assert (row["first_seen"], row["last_seen"], row["count_enforce"]) == (NOW - 60_000, NOW + 90_000, 6)
    assert row["ranked_count"] == 6
    assert facets["document"] == {"https://shop.example/": 5, "https://shop.example/b": 1}
    assert sorted(facets["policy"].values()) == [1, 5]


async def test_exported_sums_stay_what_they_were(shop: Store) -> None:
    """The counters say how reports were judged when they came in: nothing that happens later lowers one."""
    await take(shop, intake(legacy("https://superfish.com/x.js")), intake(legacy("https://a.probe.example/x.js")))

    def exported(connection: Connection) -> list[tuple[Any, ...]]:
        totals = select(csp_totals.c.noise_class, csp_totals.c.count).order_by(csp_totals.c.noise_class)
        found = [tuple(row) for row in connection.execute(totals)]
        return [*found, *(tuple(row) for row in connection.execute(select(noise_rule_totals)))]

    before = await shop.read(exported)
    await follow(shop, NoiseFilter(effective_rules({"disable": ["adware-host"], "rules": [PROBE]}, place="test")))

    assert await listed(shop) == {None: (1, None), "security-software": (1, "probe")}
    assert await shop.read(exported) == before
    assert (await shop.read(matches)).by_rule == {"adware-host": 1}


async def test_back_and_forth_ends_where_it_began(shop: Store) -> None:
    """A rule that is added and taken away again leaves every count as it was."""
    await take(shop, *(intake(legacy(f"https://{name}.probe.example/x.js")) for name in "abc"))
    for by in (PROBED, SHIPPED, PROBED, SHIPPED):
        await follow(shop, by)

    def read(connection: Connection) -> list[tuple[Any, ...]]:
        columns = violations.c
        return [tuple(row) for row in connection.execute(select(columns.fingerprint, columns.count, columns.noise_class))]

    expected = {intake(legacy(f"https://{name}.probe.example/x.js")).fingerprints[0] for name in "abc"}
    assert {(name, count, noise_class) for name, count, noise_class in await shop.read(read)} == {
        (name, 1, None) for name in expected
    }
    assert await sums(shop) == (3, 3, 3)


async def test_it_goes_on_where_it_was_cut_off(shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that was committed is not done again, and the rest follows after the next start."""
    monkeypatch.setattr(noise, "VIOLATIONS_PER_SLICE", 2)
    await take(shop, *(intake(legacy(f"https://{name}.probe.example/x.js")) for name in "abcde"))
    await shop.transact(lambda connection: begin(connection, digests(PROBED)))
    asked: list[int] = []

    def judging(known: Mapping[str, str]) -> Any:
        judge = Rejudge(PROBED, known)

        def once(stored: StoredViolation) -> Any:
            asked.append(stored.id)
            if len(asked) == 4:
                raise ConnectionError
            return judge(stored)

        return once

    with pytest.raises(ConnectionError):
        await rejudge(shop, shop.transact, digests(PROBED), judging)
    under_way = await shop.read(rejudging)
    assert under_way is not None
    assert under_way.after == asked[1]

    await shop.transact(lambda connection: begin(connection, digests(PROBED)))
    await rejudge(shop, shop.transact, digests(PROBED), judging)
    assert asked[4:] == [asked[2], asked[3], asked[3] + 1]
    assert await sums(shop) == (5, 5, 5)
    assert await listed(shop) == {"security-software": (1, "probe")}


async def test_what_comes_in_meanwhile_is_not_judged_again(shop: Store) -> None:
    """A report that matched by what is not stored keeps its rule, though nothing of it is left to judge by."""
    query = NoiseFilter(effective_rules({"rules": [{**PROBE, "hosts": [], "parts": ["?inject="]}]}, place="test"))
    await shop.transact(lambda connection: begin(connection, digests(query)))
    await take(shop, intake(legacy("https://cdn.example/x.js?inject=1"), query))
    await rejudge(shop, shop.transact, digests(query), lambda known: Rejudge(query, known))

    assert await listed(shop) == {"security-software": (1, "probe")}
    await follow(shop, NoiseFilter(effective_rules({"rules": [{**PROBE, "parts": ["?inject="]}]}, place="test")))
    assert await listed(shop) == {"security-software": (1, "probe")}


async def test_another_process_with_other_rules_keeps_its_hands_off(shop: Store) -> None:
    """Only who has the rules that the violations wait for judges them."""
    await take(shop, intake(legacy("https://a.probe.example/x.js")))
    await shop.transact(lambda connection: begin(connection, digests(PROBED)))
    await rejudge(shop, shop.transact, digests(SHIPPED), lambda known: Rejudge(SHIPPED, known))

    assert await listed(shop) == {None: (1, None)}
    assert await shop.read(rejudging) is not None


async def test_a_change_upon_a_change_knows_what_both_mean(shop: Store) -> None:
    """Cut short by yet other rules, the violations are judged by what is known of either table."""
    page = legacy("data:text/html,chromewebdata")
    await take(shop, intake(page))
    await shop.transact(lambda connection: begin(connection, digests(PROBED)))
    await follow(shop, NoiseFilter(effective_rules({"enable": ["localhost"]}, place="test")))

    assert await listed(shop) == {"browser-internal": (1, "browser-error-page")}


async def test_what_would_move_is_told_without_moving_it(shop: Store) -> None:
    """The preview counts violations and reports by where they would go, and what stays undecided."""
    await take(shop, *(intake(legacy("https://a.probe.example/x.js"), at=NOW + n) for n in range(3)))
    found = await shop.read(lambda connection: moves(connection, Rejudge(PROBED, judged_by(connection))))

    move = Move(None, NoiseClass.SECURITY_SOFTWARE, "probe")
    assert (found.violations, found.reports, found.undecided) == ({move: 1}, {move: 3}, 0)
    assert move.name == "no noise -> security-software by probe"
    assert await listed(shop) == {None: (3, None)}


async def test_what_its_own_policy_seems_to_allow_is_told_of_the_newest_report(shop: Store) -> None:
    """A blocked redirect has the mark; it goes by the report that happened last, whenever it comes in."""
    allowing, blocking = "script-src https://cdn.example", "script-src 'self'"

    async def after(policy: str, at: int) -> bool:
        await take(shop, intake(legacy("https://cdn.example/x.js", policy=policy), at=at))
        return await shop.read(lambda connection: bool(connection.scalar(select(violations.c.policy_allows))))

    assert not await after(blocking, NOW)
    assert await after(allowing, NOW + 1)
    assert await after(blocking, NOW - 1)
    assert not await after(blocking, NOW + 2)


def test_whatever_belongs_to_a_violation_is_merged() -> None:
    """A table that points to violations and is not in the list would lose its rows."""
    pointing = {
        table.name for table in metadata.tables.values() for key in table.foreign_keys if key.column.table is violations
    }
    assert pointing == MERGES.keys()
    assert violation_facets.name in pointing


async def test_a_class_is_as_large_as_what_is_stored_of_it(store: Store) -> None:
    """Its violations and their reports, the most reports first; what is no noise is not among them."""
    project = await store.transact(add_project)
    stored = [(NoiseClass.TRANSLATOR, 2), (NoiseClass.BROWSER_EXTENSION, 5), (NoiseClass.BROWSER_EXTENSION, 4), (None, 100)]
    for number, (noise_class, count) in enumerate(stored):
        of_class = partial(add_violation, noise_class=noise_class, count=count)
        await store.transact(partial(of_class, project_id=project, fingerprint=f"{number}"))

    assert await store.read(class_sizes) == [("browser-extension", 2, 9), ("translator", 1, 2)]
