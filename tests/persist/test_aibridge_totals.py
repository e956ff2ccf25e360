"""AI bridge records are counted once each, for good."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from collector.persist import aibridge, aibridge_totals, migrate, tables
from collector.persist.aibridge_tables import TOTALS, aibridge_tool_totals
from collector.persist.aibridge_tables import aibridge_totals as used
from collector.persist.engine import Store, open_store
from collector.persist.userdata import erase
from collector.rollup.retention import Retentions, purge
from collector.wire.aibridge import AibridgeRecord
from tests.aibridge import NOW, SERVER_JSON, line, records, start, sums, synthetic

DAY_MS = 86_400_000
LOG = b"".join(synthetic(60_000))
Rows = dict[str, list[dict[str, Any]]]


async def count(store: Store, found: Iterable[AibridgeRecord], **options: Any) -> list[AibridgeRecord]:
    """Store records in one transaction; those that were new."""
    given: dict[str, Any] = {"deployment": "d", "received_at": NOW} | options
    return await store.transact(lambda connection: aibridge.store(connection, list(found), **given))


def rows(connection: Connection) -> Rows:
    """What all the totals say, without when."""
    return {
        table.name: [
            {name: value for name, value in row.items() if name != "counted_at"}
            for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        ]
        for table in TOTALS
    }


async def totals_of(store: Store, *logs: str | bytes, **options: Any) -> Rows:
    """The totals after each of ``logs`` was stored by a transaction of its own."""
    for log in logs:
        await count(store, records(log, keep_texts=False), **options)
    return await store.read(rows)


def whole(found: Rows) -> Counter[str]:
    """What all rows add up to."""
    total: Counter[str] = Counter()
    for of_table in found.values():
        for row in of_table:
            total.update({name: value for name, value in row.items() if type(value) is int})
    return total


async def test_what_is_counted(store: Store) -> None:
    """Under provider, model and who asked: interceptions, prompts, tokens by kind, calls of tools, and how long it took."""
    found = await totals_of(store, SERVER_JSON)

    whose = {"deployment": "d", "provider": "anthropic", "model": "example-model-1"}
    (one,) = found["aibridge_totals"]
    assert whose.items() <= one.items()
    assert one["initiator_id"] == "e5bbaa38-37bd-4bc8-8be6-d7b37922dff0"
    assert (one["interceptions"], one["prompts"], one["input"], one["output"]) == (1, 1, 12, 138)
    assert one["cache_creation_input"] == 53_194
    (took,) = found["aibridge_duration_totals"]
    assert (took["up_to_5000_ms"], took["duration_ms"], sum(took[name] for name in took if name.startswith("up_to"))) == (
        1,
        3_377,
        1,
    )
    assert found["aibridge_tool_totals"] == [whose | {"injected": False, "server_url": "", "tool": "example_tool", "calls": 1}]


async def test_a_log_adds_up(store: Store) -> None:
    """The totals of a long log are what its lines add up to, and those of reading it again are the same."""
    found = whole(await totals_of(store, LOG))
    expected = sums(LOG.splitlines())

    assert found["calls"] == expected["tool_usage"]
    assert found["prompts"] == expected["prompt_usage"]
    assert found["interceptions"] == expected["interception_end"]
    assert [found[kind] for kind in ("input", "output", "cache_read_input")] == [
        expected[kind] for kind in ("input", "output", "cache_read_input")
    ]
    assert whole(await totals_of(store, LOG)) == found


async def test_the_order_of_records_does_not_matter(store: Store) -> None:
    """In any order and each in a transaction of its own, some of them twice, records count what they count together."""
    together = await totals_of(store, SERVER_JSON)
    found = records(SERVER_JSON, keep_texts=False)
    for seed in range(5):
        for record in random.Random(seed).sample(found * 2, 2 * len(found)):
            await count(store, [record], deployment=f"{seed}")

    for name, of_table in (await store.read(rows)).items():
        alike = [row | {"deployment": "d"} for row in of_table]
        assert alike == together[name] * 6, name


async def test_nothing_counts_before_its_start(store: Store) -> None:
    """Whose the tokens are is not known until then, and they are then counted once."""
    before = await totals_of(store, line("token_usage", input_tokens=3), line("interception_end"))
    after = await totals_of(store, start(), start(), line("token_usage", input_tokens=3))

    assert whole(before) == {}
    assert {name: value for name, value in whole(after).items() if value} == {"input": 3, "interceptions": 1, "up_to_500_ms": 1}


async def test_retention_does_not_lower_them(store: Store) -> None:
    """The records go when they are due; what they added up to stays, also when the log is then read again."""
    before = await totals_of(store, LOG)
    later = NOW + 100 * DAY_MS
    assert (await purge(store.transact, Retentions(), now=later))["aibridge_interceptions"] > 0

    assert await store.read(rows) == before
    again = {"received_at": later, "counted_since": later - Retentions().aibridge}
    assert await totals_of(store, LOG, **again) == before


async def test_two_that_bring_the_same_count_it_once(migrated_url: str) -> None:
    """Also at the same time, through connections of their own."""
    one, other = open_store(migrated_url), open_store(migrated_url)
    found = records(SERVER_JSON, keep_texts=False)
    new = await asyncio.gather(*(count(store, found) for store in (one, other, one, other)))
    total = whole(await one.read(rows))
    await one.close()
    await other.close()

    assert sorted(map(len, new)) == [0, 0, 0, len(found)]
    assert (total["interceptions"], total["output"], total["calls"]) == (1, 138, 1)


async def test_what_has_no_room_is_counted_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a new group is counted as other, a known one stays itself, and nothing is lost."""
    monkeypatch.setattr(aibridge_totals, "MOST", dict.fromkeys(TOTALS, 2))
    logs = [
        start(f"i{number}", initiator_id=f"u{number}", model=f"m{number}")
        + line("token_usage", interception_id=f"i{number}", input_tokens=1)
        + line("tool_usage", interception_id=f"i{number}", tool=f"t{number}", injected=True, server_url="https://mcp.example/")
        for number in range(5)
    ]
    await totals_of(store, "".join(logs))
    found = await totals_of(store, line("token_usage", interception_id="i1", input_tokens=7))

    assert [(row["model"], row["initiator_id"], row["input"]) for row in found["aibridge_totals"]] == [
        ("m0", "u0", 1),
        ("m1", "u1", 8),
        ("other", "other", 3),
    ]
    assert [(row["server_url"], row["tool"], row["calls"]) for row in found["aibridge_tool_totals"]] == [
        ("https://mcp.example/", "t0", 1),
        ("https://mcp.example/", "t1", 1),
        ("other", "other", 3),
    ]


async def test_the_longest_names_fit(store: Store) -> None:
    """Names of four bytes a letter make no key that PostgreSQL refuses; they are cut."""
    noise = random.Random(7)  # what repeats itself PostgreSQL would compress
    long = ["".join(chr(noise.randrange(0x20000, 0x2A000)) for _ in range(250)) for _ in range(5)]
    log = start(initiator_id=long[0], provider=long[1], model=long[2]) + line("interception_end")
    log += line("tool_usage", tool=long[3], injected=True, server_url=f"https://mcp.example/{long[4]}")
    found = await totals_of(store, log)

    assert [len(row["model"]) for of_table in found.values() for row in of_table] == [100, 100, 100]


async def test_a_sum_has_an_end(store: Store) -> None:
    """One that would be more than a metric can say stays at that, and stops nothing."""
    await totals_of(store, start())
    await store.transact(lambda c: c.execute(used.insert().values(_row(initiator_id="grace"))))
    found = await totals_of(store, line("token_usage", input_tokens=5))

    assert found["aibridge_totals"][0]["input"] == aibridge_totals.LARGEST_SUM


def _row(**changes: Any) -> dict[str, Any]:
    whose = {"deployment": "d", "provider": "anthropic", "model": "example-1"}
    sums_ = {column.name: 0 for column in used.columns if column.name not in whose}
    return whose | sums_ | {"input": aibridge_totals.LARGEST_SUM - 1} | changes


async def test_an_erased_user_is_in_none_of_them(store: Store) -> None:
    """What was used stays, added to what nobody in particular has used."""
    log = "".join(
        start(f"i{number}", initiator_id=who) + line("token_usage", interception_id=f"i{number}", input_tokens=1 + number)
        for number, who in enumerate(("grace", "ada", "nobody"))
    )
    await totals_of(store, log)
    await store.transact(lambda connection: erase(connection, frozenset({"grace"}), nobody="nobody"))
    found = (await store.read(rows))["aibridge_totals"]

    assert [(row["initiator_id"], row["input"]) for row in found] == [("ada", 2), ("nobody", 4)]


async def test_records_of_before_are_counted(database_url: str) -> None:
    """A store that is upgraded has the totals that it would have had if it had counted from the start."""
    unfinished = start("late", at="2026-01-13T09:00:00Z") + line("prompt_usage", interception_id="late", prompt="a")
    clock = start("set", at="2026-01-13T09:00:05Z") + line("interception_end", interception_id="set")
    nameless = line("token_usage", interception_id="nameless", input_tokens=3)
    log = LOG + SERVER_JSON + (unfinished + clock + nameless).encode()
    await migrate.upgrade(database_url)
    opened = open_store(database_url)
    expected = await totals_of(opened, log)
    await migrate.downgrade(database_url, "0010")
    await migrate.upgrade(database_url)
    found = await opened.read(rows)
    kept = await opened.read(lambda c: c.scalar(select(func.count()).select_from(tables.aibridge_interceptions)))
    await opened.close()

    assert kept
    assert found == expected
    assert len(found[aibridge_tool_totals.name]) > 1
