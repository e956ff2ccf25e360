"""Policies get rows of their own, a bounded number of them, and two processes never wait for each other over them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select

from collector.normalize.csp import arrived
from collector.persist.csp import CspRows
from collector.persist.csp_policies import POLICIES_PER_PROJECT, STALE_MS
from collector.persist.engine import Store, open_store
from collector.persist.tables import csp_policies
from collector.wire.records import CspIntake
from tests.rollup.rows import NOW, add_project


def intake(number: int, policy: str, *, at: int = NOW, directive: str = "img-src") -> CspIntake:
    """One report of the violation with that number under ``policy``; names of violations sort as their numbers do."""
    fields = {"document-uri": "https://shop.example/", "effective-directive": directive, "original-policy": policy}
    brought = arrived(msgspec.json.encode({"csp-report": fields | {"blocked-uri": "inline"}}), user_agent=None)
    return CspIntake(1, "d", at, brought.reports, (f"{directive[0]}{number:031x}",))


async def take(store: Store, rows: CspRows, intakes: Sequence[CspIntake]) -> None:
    """Store them as one batch, and what follows at a distance."""
    await store.transact(lambda connection: rows.store(connection, intakes))
    rows.ended(whole=True)
    await rows.flush(store.transact)


async def test_two_processes_meet_the_same_policies_in_any_order(migrated_url: str) -> None:
    """Two that store the same new policies, one first the other last, both commit: none holds what the other waits for."""
    one, other = open_store(migrated_url), open_store(migrated_url)
    try:
        await one.transact(add_project)
        mine, others = CspRows(), CspRows()
        for round_ in range(4):
            policies = [f"img-src host-{round_}-{number}.example" for number in range(40)]
            forth = [intake(number, policy) for number, policy in enumerate(policies)]
            # Of another directive: both add to its running sum, and would wait for each other there before they meet.
            back = [intake(number, policy, directive="font-src") for number, policy in enumerate(reversed(policies))]
            await asyncio.gather(take(one, mine, forth), take(other, others, back))
        counts = await one.read(lambda connection: connection.scalars(select(csp_policies.c.count)).all())
    finally:
        await one.close()
        await other.close()

    assert counts == [2] * 160


async def test_a_policy_that_is_in_use_keeps_its_place(store: Store) -> None:
    """Where the places are taken the policy that has been silent longest gives way, not the one that was there first."""
    await store.transact(add_project)
    rows = CspRows()
    oldest = intake(0, "img-src host-0.example")
    await take(store, rows, [oldest, *(intake(n // 20, f"img-src host-{n}.example") for n in range(1, POLICIES_PER_PROJECT))])
    later = NOW + STALE_MS
    await take(store, rows, [intake(0, "img-src host-0.example", at=later)])
    await take(store, rows, [intake(99, "img-src new.example", at=later)])

    texts = await store.read(lambda connection: set(connection.scalars(select(csp_policies.c.text))))
    assert len(texts) == POLICIES_PER_PROJECT
    assert {"img-src host-0.example", "img-src new.example"} <= texts


async def test_a_policy_that_another_process_receives_is_not_removed(store: Store) -> None:
    """What one process has not seen for long another may see all the time: then its row stays."""
    await store.transact(add_project)
    mine, others = CspRows(), CspRows()
    batch = [intake(number // 20, f"img-src host-{number}.example") for number in range(POLICIES_PER_PROJECT)]
    await take(store, mine, batch)
    later = NOW + STALE_MS
    await take(store, others, [msgspec.structs.replace(each, received_at=later) for each in batch])
    await take(store, mine, [intake(99, "img-src new.example", at=later)])

    assert await store.read(lambda c: c.scalar(select(func.count()).select_from(csp_policies))) == POLICIES_PER_PROJECT + 1
