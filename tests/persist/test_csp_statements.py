"""The statements of the hot path store every row once, however many there are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Column, delete, insert, select

from collector.persist.csp import CspRows
from collector.persist.csp_statements import COUNT_KNOWN, MINUTES
from collector.persist.engine import Store
from collector.persist.statements import BulkStatement
from collector.persist.tables import csp_minutes, csp_totals, projects, violations
from collector.wire.records import CspIntake, CspReport, Sample

LARGEST = BulkStatement.LARGEST

FULL = CspReport(
    effective_directive="img-src",
    blocked_kind="origin",
    blocked_origin="https://cdn.example",
    blocked_key="https://cdn.example",
    document_origin="https://shop.example",
    disposition="enforce",
    noise_class=None,
    noise_rule=None,
    place="",
    sample=Sample(),
)
BARE = msgspec.structs.replace(FULL, effective_directive=None, blocked_origin=None, document_origin=None, disposition=None)


def intake(number: int, report: CspReport = FULL) -> CspIntake:
    """One report of the violation of that number."""
    return CspIntake(1, "here", 1_768_300_000_000, (report,), (f"{number:032x}",))


@pytest.fixture
async def shop(store: Store) -> Store:
    """A store with one project, whose id is 1."""
    await store.transact(lambda connection: connection.execute(insert(projects), [{"name": "shop", "created_at": 0}]))
    return store


async def column(store: Store, values: Column[int]) -> list[int]:
    """All of a column, by the key of its table."""
    return await store.read(lambda connection: list(connection.scalars(select(values).order_by(*values.table.primary_key))))


@pytest.mark.parametrize("number", [1, 2, 3, 64, 65, LARGEST, LARGEST + 1, 2 * LARGEST + 3])
async def test_every_row_is_stored_once(shop: Store, number: int) -> None:
    """Known and new violations, their minutes and the running sums count each report, at every size of a batch."""
    rows = CspRows()
    for _ in range(3):  # the first makes the violations, the others find them
        await shop.transact(partial(rows.store, intakes=[intake(n) for n in range(number)]))
    assert await column(shop, violations.c.count) == [3] * number
    assert await column(shop, csp_minutes.c.enforce) == [3] * number
    assert await column(shop, csp_totals.c.count) == [3 * number]


async def test_known_and_new_in_one_batch_are_told_apart(shop: Store) -> None:
    """A violation that was deleted since it was last seen is made again, and those beside it are counted on."""
    rows, batch = CspRows(), [intake(n) for n in range(5)]
    await shop.transact(partial(rows.store, intakes=batch))
    gone = delete(violations).where(violations.c.fingerprint == f"{2:032x}")
    await shop.transact(lambda connection: connection.execute(gone))
    await shop.transact(partial(rows.store, intakes=[*batch, intake(7)]))
    assert await column(shop, violations.c.count) == [2, 2, 2, 2, 1, 1]


async def test_a_report_without_its_particulars_is_counted(shop: Store) -> None:
    """Nobody has to say where, and with what disposition, something was blocked."""
    rows = CspRows()
    for _ in range(2):
        await shop.transact(partial(rows.store, intakes=[intake(1), intake(2, BARE)]))
    assert await column(shop, violations.c.count_enforce) == [2, 0]
    assert await column(shop, violations.c.count_unknown) == [0, 2]


async def test_who_took_the_place_of_another_is_not_counted_for_it(shop: Store) -> None:
    """SQLite gives the id of a violation that was deleted to the next one, whoever makes that."""
    rows, batch = CspRows(), [intake(1), intake(2)]
    await shop.transact(partial(rows.store, intakes=batch))
    gone = delete(violations).where(violations.c.fingerprint == f"{2:032x}")
    await shop.transact(lambda connection: connection.execute(gone))
    await shop.transact(partial(CspRows().store, intakes=[intake(3)]))
    await shop.transact(partial(rows.store, intakes=batch))
    counts = select(violations.c.fingerprint, violations.c.count)
    found = await shop.read(lambda connection: [tuple(row) for row in connection.execute(counts)])
    assert dict(found) == {
        f"{1:032x}": 2,
        f"{3:032x}": 1,
        f"{2:032x}": 1,
    }
    assert sorted(await column(shop, csp_minutes.c.enforce)) == [1, 1, 2]


def test_violations_are_looked_up_and_never_scanned(migrated_file: Path) -> None:
    """A batch costs what it holds, however many violations there are."""
    with closing(sqlite3.connect(migrated_file)) as connection:
        for statement, how in ((COUNT_KNOWN, "SEARCH violations USING INTEGER PRIMARY KEY"), (MINUTES, "SCAN given")):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement._for(2)}", [0] * (2 * len(statement._keys)))
            steps = "\n".join(row[3] for row in plan)
            assert how in steps
            assert "SCAN violations" not in steps
