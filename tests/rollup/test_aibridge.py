"""What models were used for, on both databases."""

from __future__ import annotations

import statistics
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from collector.persist import aibridge, tables
from collector.persist.engine import Store
from collector.rollup import aibridge as usage_of
from collector.rollup.aibridge import usage
from collector.rollup.prices import ModelPrices, PriceList
from collector.rollup.retention import DAY_MS, Retentions, purge
from collector.wire.aibridge import KINDS
from collector.wire.aibridge_usage import Durations, GroupKey, Usage, UsageQuery, UsageReport
from collector.wire.errors import InvalidInput
from tests.aibridge import DEVELOPMENT, NOW, line, records, start, sums, synthetic

ALL = UsageQuery(0, NOW + DAY_MS)


async def filled(store: Store, *logs: str | bytes, received_at: int = NOW, deployment: str = "d") -> None:
    """Store the records of ``logs``."""
    found = [record for log in logs for record in records(log, keep_texts=False)]
    await store.transact(lambda c: aibridge.store(c, found, deployment=deployment, received_at=received_at))


async def report(store: Store, query: UsageQuery = ALL, prices: PriceList | None = None) -> UsageReport:
    """The answer to ``query``."""
    return await store.read(lambda connection: usage(connection, query, prices))


def by(*keys: GroupKey, **options: Any) -> UsageQuery:
    """A query of everything, broken down."""
    return UsageQuery(0, NOW + DAY_MS, keys, **options)


def counted(used: Usage) -> Counter[str]:
    """The numbers that a log adds up to."""
    tokens = {kind: getattr(used.tokens, kind) for kind in ("input", "output", "cache_read_input", "cache_creation_input")}
    names = ("interceptions", "prompts", "tool_calls", "errors", "unfinished")
    return Counter({name: getattr(used, name) for name in names} | tokens)


async def test_the_sums_are_those_of_the_log(store: Store) -> None:
    """Counted without the collector, and in every breakdown, the log adds up to the same."""
    log = list(synthetic(150_000))
    await filled(store, b"".join(log))
    own = sums(log)

    whole = await report(store, by(*GroupKey))
    total = counted(whole.total)
    assert total["interceptions"] == own["interception_start"]
    assert total["unfinished"] == own["interception_start"] - own["interception_end"] > 0
    assert (total["prompts"], total["tool_calls"], total["errors"]) == (own["prompt_usage"], own["tool_usage"], own["errors"])
    assert {name: total[name] for name in ("input", "output", "cache_read_input", "cache_creation_input")} == {
        name: own[name] for name in ("input", "output", "cache_read_input", "cache_creation_input")
    }
    for keys in ((), (GroupKey.PROVIDER,), (GroupKey.DAY, GroupKey.MODEL), tuple(GroupKey)):
        found = await report(store, by(*keys))
        assert sum((counted(group) for group in found.results), Counter()) == total
        assert found.total == whole.total


async def test_the_sample_lines(store: Store) -> None:
    """An interception with its records is one of each, with its tokens by kind."""
    await filled(store, DEVELOPMENT)
    (used,) = (await report(store, by(GroupKey.PROVIDER, GroupKey.MODEL, GroupKey.INITIATOR, GroupKey.DAY))).results

    assert (used.provider, used.model, used.day) == ("anthropic", "claude-opus-4-5-20251101", "2026-01-13")
    assert used.initiator == "7b1de0c4-55aa-4c7e-9e5f-0a1b2c3d4e5f"
    assert (used.interceptions, used.prompts, used.tool_calls, used.errors, used.unfinished) == (1, 1, 1, 0, 0)
    assert (used.tokens.input, used.tokens.output, used.tokens.cache_creation_input) == (10, 138, 53_194)
    assert used.duration_ms == Durations(5_465.0, 5_465.0)


async def test_durations_are_percentiles(store: Store) -> None:
    """Interpolated as percentile_cont does, within each group and over all."""
    lengths = {"a": [1, 2, 5, 9], "b": [7], "c": []}
    lines = [
        start(f"{model}{number}", model=model)
        + line("interception_end", interception_id=f"{model}{number}", ended_at=f"2026-01-13T09:00:0{seconds}Z")
        for model, all_seconds in lengths.items()
        for number, seconds in enumerate(all_seconds)
    ]
    await filled(store, "".join(lines) + start("c0", model="c"))

    found = await report(store, by(GroupKey.MODEL))
    p50, p95 = statistics.median([1, 2, 5, 9]), 5 + (9 - 5) * 0.85
    assert [used.duration_ms for used in found.results] == [
        Durations(p50 * 1000, p95 * 1000),
        Durations(7_000.0, 7_000.0),
        Durations(-1.0, -1.0),
    ]
    assert found.total.duration_ms == Durations(5_000.0, 8_600.0)


async def test_what_has_not_started_is_shown(store: Store) -> None:
    """Records whose start has not come are a group of their own, without model and without a duration."""
    await filled(
        store,
        start(),
        line("token_usage", interception_id="lost", input_tokens=5) + line("interception_end", interception_id="lost"),
    )
    known, lost = (await report(store, by(GroupKey.MODEL))).results

    assert (known.model, known.interceptions, known.unfinished) == ("example-1", 1, 1)
    assert (lost.model, lost.tokens.input, lost.unfinished, lost.duration_ms) == (None, 5, 0, Durations(-1.0, -1.0))


async def test_the_time_and_the_deployment_choose(store: Store) -> None:
    """An interception counts when it started from ``since`` on and before ``until``, with all its records."""
    await filled(store, DEVELOPMENT)
    await filled(store, start(), deployment="other")
    at = 1_768_319_420_790

    assert (await report(store, UsageQuery(at, at + 1))).total.tokens.output == 138
    assert (await report(store, UsageQuery(at - 1, at))).total.interceptions == 0
    assert (await report(store, UsageQuery(at + 1, at + 9))).total.tokens.output == 0
    assert (await report(store, by(deployment="other"))).total.interceptions == 1
    assert (await report(store)).total.interceptions == 2


async def test_nothing_is_zero(store: Store) -> None:
    """An empty store answers with zeros."""
    found = await report(store, by(GroupKey.MODEL))

    assert found.results == ()
    assert not counted(found.total).total()
    assert (found.total.cost, found.currency) == (None, None)


async def test_costs_are_by_model_whatever_the_groups_are(store: Store) -> None:
    """A user's cost is the sum over the models used; tokens without a price are counted, not guessed."""
    prices = PriceList("EUR", (ModelPrices("anthropic", "example-1", {"input": Decimal(3), "output": Decimal("15.5")}),))
    for model in ("example-1", "example-2"):
        tokens = line("token_usage", interception_id=model, input_tokens=1_000_000, output_tokens=200_000)
        await filled(store, start(model, model=model) + tokens)

    found = await report(store, by(GroupKey.INITIATOR), prices)
    assert [(used.initiator, used.cost, used.unpriced_tokens) for used in found.results] == [("grace", 6.1, 1_200_000)]
    assert (found.total.cost, found.currency) == (6.1, "EUR")
    first, second = (await report(store, by(GroupKey.MODEL), prices)).results
    assert (first.cost, second.cost, second.unpriced_tokens) == (6.1, None, 1_200_000)


async def test_largest_counts_add_up(store: Store) -> None:
    """Counts as large as a line may have do not overflow a sum."""
    lines = [line("token_usage", input_tokens=10**12, msg_id=f"m{number}") for number in range(50)]
    await filled(store, start() + "".join(lines))

    assert (await report(store)).total.tokens.input == 50 * 10**12


async def test_a_breakdown_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More groups than an answer may have are refused, not cut."""
    monkeypatch.setattr(usage_of, "MAX_GROUPS", 2)
    await filled(store, "".join(start(name, model=name) for name in "abc"))

    assert (await report(store)).total.interceptions == 3
    with pytest.raises(InvalidInput):
        await report(store, by(GroupKey.MODEL))


async def test_old_interceptions_go_with_all_their_records(store: Store) -> None:
    """Retention counts from the start, but what has come within a day stays."""
    await filled(store, *(DEVELOPMENT.replace(b"3f0e7a52", name) for name in (b"aaaaaaaa",)), received_at=NOW - DAY_MS - 1)
    await filled(store, DEVELOPMENT.replace(b"3f0e7a52", b"bbbbbbbb"), received_at=NOW - DAY_MS)
    started = 1_768_319_420_790

    def left(connection: Connection) -> list[int]:
        names = ("interceptions", "token_usages", "prompts", "tool_usages")
        counts = [select(func.count()).select_from(tables.metadata.tables[f"aibridge_{name}"]) for name in names]
        return [connection.scalar(count) or 0 for count in counts]

    for keep, done, rest in ((NOW - started, 0, [2, 4, 2, 2]), (NOW - started - 1, 1, [1, 2, 1, 1])):
        counts = await purge(store.transact, Retentions(aibridge=keep), now=NOW)
        assert counts["aibridge_interceptions"] == done
        assert await store.read(left) == rest


async def test_a_purged_log_counts_once_again(store: Store) -> None:
    """What retention has deleted is summed no more, so that to read it in again gives what it gave before."""
    await filled(store, DEVELOPMENT, received_at=NOW - 2 * DAY_MS)
    before = (await report(store)).total
    await purge(store.transact, Retentions(aibridge=1), now=NOW)
    assert (await report(store)).total.interceptions == 0

    await filled(store, DEVELOPMENT)
    assert (await report(store)).total == before


def test_every_kind_of_token_has_a_column() -> None:
    """The columns of token usages are the kinds."""
    assert set(tables.aibridge_token_usages.c.keys()) == {"interception", "key", "created_at", *KINDS}
