"""Reports beside CSP are counted one by one and kept a few at a time; scripts are listed up to a number."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import Connection

from collector.persist import other_reports, scripts
from collector.persist.engine import Store
from collector.persist.other_reports import SLOTS_PER_TYPE
from collector.persist.tables import csp_scripts, other_samples
from collector.rollup import other_reports as rollup
from collector.rollup.scripts import scripts as listed
from collector.wire.records import CspIntake, OtherReport, Script
from collector.wire.scripts import ScriptQuery
from tests.rollup.rows import NOW, add_project, rows


def report(about: str = "", *, age_ms: int = 0, script: Script | None = None) -> OtherReport:
    """A report of a deprecation, or of a script."""
    kind = "deprecation" if script is None else "csp-hash"
    return OtherReport(kind, age_ms, "https://shop.example/", None, "Chrome 156", (("id", about),), about, script)


def script(number: int, digest: str = "sha256-x") -> OtherReport:
    url = f"https://cdn.example/{number}.js"
    return report(script=Script("https://shop.example", url, digest, "subresource", "script"))


def brought(*others: OtherReport, at: int = NOW) -> CspIntake:
    return CspIntake(1, "d", at, others=others)


async def store_all(store: Store, *intakes: CspIntake, refuse_new: bool = False) -> None:
    await store.transact(lambda connection: other_reports.store(connection, intakes, refuse_new=refuse_new))


async def test_every_report_is_counted_and_few_are_kept(store: Store) -> None:
    """A thousand kinds of one type are a thousand in the sum, and at most as many samples as there are slots."""
    await store.transact(add_project)
    for start in range(0, 1000, 100):
        await store_all(store, brought(*(report(f"feature {number}") for number in range(start, start + 100))))

    page = await store.read(rollup.other_reports)
    assert [(found.project, found.type, found.count) for found in page.results] == [("shop", "deprecation", 1000)]
    assert 1 < len(page.results[0].samples) <= SLOTS_PER_TYPE
    assert await store.read(lambda connection: rows(connection, other_samples)) <= SLOTS_PER_TYPE


async def test_the_newest_report_of_a_kind_is_kept(store: Store) -> None:
    """Whatever order they are stored in, also within a batch, the sample is the one that happened last."""
    await store.transact(add_project)
    await store_all(store, brought(report("x", age_ms=5000), report("x", age_ms=1000), report("x", age_ms=9000)))
    await store_all(store, brought(report("x", age_ms=3000)))

    (found,) = (await store.read(rollup.other_reports)).results
    assert [sample.seen_at.timestamp() * 1000 for sample in found.samples] == [NOW - 1000]
    assert bytes(found.samples[0].body) == b'{"id":"x"}'
    assert found.count == 4


async def test_answers_are_narrowed_by_project_and_type(store: Store) -> None:
    """Each filter leaves what it names, a name that nobody has leaves nothing."""
    await store.transact(add_project)
    await store_all(store, brought(report("x"), script(1)))

    async def found(**names: str) -> list[str]:
        page = await store.read(lambda connection: rollup.other_reports(connection, **names))
        return [each.type for each in page.results]

    assert await found() == ["csp-hash", "deprecation"]
    assert await found(type_="deprecation", project="shop") == ["deprecation"]
    assert await found(project="other") == []


async def test_a_script_is_one_row_however_often_it_loads(store: Store) -> None:
    """Sightings add up, first and last are kept, another version is another row."""
    await store.transact(add_project)
    await store_all(store, brought(script(1), script(1), script(1, "sha256-y")), brought(script(1), at=NOW + 1000))
    await store_all(store, brought(script(1), at=NOW - 1000))

    page = await store.read(lambda connection: listed(connection, ScriptQuery()))
    found = {each.hash: each for each in page.results}
    assert {digest: each.count for digest, each in found.items()} == {"sha256-x": 4, "sha256-y": 1}
    assert found["sha256-x"].first_seen.timestamp() * 1000 == NOW - 1000
    assert found["sha256-x"].last_seen.timestamp() * 1000 == NOW + 1000


@pytest.mark.parametrize("refuse_new", [False, True])
async def test_what_has_no_room_is_summed_up(store: Store, monkeypatch: pytest.MonkeyPatch, *, refuse_new: bool) -> None:
    """Past its number, or when nothing may grow, a project's new scripts are one row, and all counts add up."""
    monkeypatch.setattr(scripts, "SCRIPTS_PER_PROJECT", 3)
    await store.transact(add_project)
    await store_all(store, brought(script(1), script(2)))
    await store_all(store, brought(*(script(number) for number in range(20))), refuse_new=refuse_new)
    await store_all(store, brought(script(1), script(99)))

    def read(connection: Connection) -> dict[str, int]:
        page = listed(connection, ScriptQuery())
        assert page.count == rows(connection, csp_scripts)
        return {each.url or each.type: each.count for each in page.results}

    counts = await store.read(read)
    assert sum(counts.values()) == 24
    assert counts["https://cdn.example/1.js"] == 3
    assert counts["overflow"] == (19 if refuse_new else 18)
    assert len(counts) == (3 if refuse_new else 4)


async def test_the_inventory_is_read_in_pages(store: Store) -> None:
    """Walking the pages sees each script once."""
    await store.transact(add_project)
    await store_all(store, brought(*(script(number) for number in range(25))))
    seen: list[str | None] = []
    query: ScriptQuery | None = ScriptQuery(project="shop", limit=10)
    while query:
        page = await store.read(partial(listed, query=query))
        seen += [each.url for each in page.results]
        query = ScriptQuery(project="shop", limit=10, after=page.next) if page.next else None

    assert len(seen) == len(set(seen)) == 25
