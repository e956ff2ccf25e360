"""What violations were seen with is written by several processes at once."""

from __future__ import annotations

import asyncio

import msgspec
from sqlalchemy import func, select

from collector.normalize.csp import arrived
from collector.persist.csp import CspRows
from collector.persist.csp_facets import DOCUMENT, STALE_MS, VALUES_PER_KIND
from collector.persist.engine import Store, open_store
from collector.persist.tables import violation_facets
from collector.wire.records import CspIntake
from tests.rollup.rows import NOW, add_project

NAME = "0f" * 16


def intakes(pages: str, at: int) -> list[CspIntake]:
    """A report from each of as many documents as a violation keeps, the last by name first."""
    brought = []
    for number in reversed(range(VALUES_PER_KIND)):
        sent = {"document-uri": f"https://shop.example/{pages}/{number:03d}", "blocked-uri": "inline"}
        reports = arrived(msgspec.json.encode({"csp-report": sent}), user_agent=None).reports
        brought.append(CspIntake(1, "d", at, reports, (NAME,)))
    return brought


async def store_batch(store: Store, rows: CspRows, batch: list[CspIntake]) -> None:
    await store.transact(lambda connection: rows.store(connection, batch))
    rows.ended(whole=True)


async def test_one_process_makes_room_while_another_counts(migrated_url: str) -> None:
    """A batch that replaces old documents and a flush that counts them both commit, and every report is in one of them."""
    one, other = open_store(migrated_url), open_store(migrated_url)
    mine, others = CspRows(), CspRows()
    rounds = 4
    try:
        await one.transact(add_project)
        for round_ in range(rounds):
            at = NOW + 2 * round_ * STALE_MS
            for store, rows in ((one, mine), (other, others), (other, others)):
                await store_batch(store, rows, intakes(f"old-{round_}", at))
            await asyncio.gather(
                store_batch(one, mine, intakes(f"new-{round_}", at + STALE_MS)), others.facets.flush(other.transact)
            )
        of_documents = select(func.sum(violation_facets.c.count)).where(violation_facets.c.kind == DOCUMENT)
        await mine.flush(one.transact)
        await others.flush(other.transact)
        assert await one.read(lambda connection: connection.scalar(of_documents)) == rounds * 4 * VALUES_PER_KIND
    finally:
        await one.close()
        await other.close()
