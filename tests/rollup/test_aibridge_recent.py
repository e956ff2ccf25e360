"""What models were used for lately, on both databases."""

from __future__ import annotations

from decimal import Decimal

from collector.persist import aibridge
from collector.persist.engine import Store
from collector.rollup.aibridge_recent import (
    LONGEST_NAME,
    OTHER,
    TOOLS,
    UNKNOWN,
    Cut,
    ModelUse,
    Recent,
    ToolUse,
    recent,
    recent_use,
)
from collector.rollup.prices import Cost, ModelPrices, PriceList
from tests.aibridge import line, records, start

NOW = 1_768_298_400_000  # 2026-01-13T10:00:00Z, an hour after the records
MODEL = ("d", "anthropic", "example-1")
PRICES = PriceList("EUR", (ModelPrices("anthropic", "example-*", {"input": Decimal(2)}),))


async def read(store: Store, *log: str, now: int = NOW - 1, prices: PriceList | None = None) -> dict[str, Recent]:
    """What is said of ``log`` at ``now``, by window."""
    found = records("".join(log), keep_texts=False)
    await store.transact(lambda connection: aibridge.store(connection, found, deployment="d", received_at=NOW))
    use = await store.read(lambda connection: recent_use(connection, now=now, prices=prices))
    return {recent.window: recent for recent in use}


async def test_a_window_adds_up(store: Store) -> None:
    """Interceptions, the four kinds of tokens, their cost, calls of tools and users are those of the log."""
    used = await read(
        store,
        start(),
        line("token_usage", input_tokens=500_000, output_tokens=30, metadata={"cache_read_input": 7}),
        line("token_usage", input_tokens=1, msg_id="m2", metadata={"cache_creation_input": 5}),
        line("tool_usage", tool="bash"),
        line("tool_usage", tool="bash", msg_id="m2", invocation_error="exit 1"),
        line("interception_end"),
        start("b", initiator_id="hiro"),
        prices=PRICES,
    )

    tokens = {"input": 500_001, "output": 30, "cache_read_input": 7, "cache_creation_input": 5}
    model = used["1h"].models.pop(MODEL)
    assert (model.interceptions, model.unfinished, dict(model.tokens)) == (2, 1, tokens)
    assert model.cost == Cost(Decimal("1.000002"), 42)
    assert used["1h"] == Recent("1h", {}, {("d", "bash"): ToolUse(2, 1)}, {("d",): 2})


async def test_windows_end(store: Store) -> None:
    """After an hour the short window is empty, after a day the other is; what a wrong clock puts ahead is in none."""
    log = start(), line("token_usage", input_tokens=5)

    assert (await read(store, *log, now=NOW - 1))["1h"].models.keys() == {MODEL}
    later = await read(store, *log, now=NOW)
    assert later["1h"].models == {}
    assert later["24h"].models.keys() == {MODEL}
    assert (await read(store, *log, now=NOW + 23 * 3_600_000))["24h"].models == {}
    assert (await read(store, *log, now=NOW - 3_600_001))["24h"].models == {}


async def test_names_are_bounded(store: Store) -> None:
    """Tools beyond those that are named are one, a name is cut, and what has not started is unknown."""
    tools = [line("tool_usage", tool=f"tool {number:03}", msg_id=f"m{number}") for number in range(TOOLS + 3)]
    long = line("tool_usage", tool="x" * 200, msg_id="a"), line("tool_usage", tool="x" * 200 + "y", msg_id="b")

    used = (await read(store, *tools, *long))["1h"]

    assert used.models == {("d", UNKNOWN, UNKNOWN): ModelUse(1, 1)}
    assert used.tools["d", "x" * LONGEST_NAME] == ToolUse(2, 0)
    assert used.tools[OTHER, OTHER] == ToolUse(4, 0)
    assert len(used.tools) == TOOLS + 1


async def test_groups_that_are_not_read_are_said(store: Store) -> None:
    """Of more groups than are read those with most are, the same each time, and that there were more is said."""
    log = [start(str(number), model=f"m{min(number, 2)}") for number in range(4)]
    await read(store, *log)
    for _ in range(2):
        found = await store.read(lambda connection: recent(connection, "1h", since=0, until=NOW, prices=None, most=2))
        assert {model: use.interceptions for (_, _, model), use in found.models.items()} == {"m0": 1, "m2": 2}
        assert found.cut == Cut(interceptions=1)
