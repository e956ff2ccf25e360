"""AI bridge records as rows, on both databases."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import func, select

from collector.persist import aibridge, tables
from collector.persist.engine import Store
from collector.wire.aibridge import AibridgeRecord
from tests.aibridge import DEVELOPMENT, INTERCEPTION, NOW, SERVER_JSON, line, records, start

START_MS = 1_768_294_800_000  # 2026-01-13T09:00:00Z


async def stored(store: Store, *logs: str | bytes, **options: Any) -> list[AibridgeRecord]:
    """Store the records of ``logs`` in one transaction; those that were new."""
    found = [record for log in logs for record in records(log, keep_texts=options.get("keep_texts", False))]
    deployment, at = options.get("deployment", "d"), options.get("received_at", NOW)
    return await store.transact(lambda c: aibridge.store(c, found, deployment=deployment, received_at=at))


async def rows(store: Store, name: str) -> list[dict[str, Any]]:
    """The rows of a table, without ids and keys."""
    table = tables.metadata.tables[f"aibridge_{name}"]
    found = await store.read(lambda c: c.execute(select(table)).mappings().all())
    return [{k: v for k, v in row.items() if k not in ("id", "interception", "key")} for row in found]


async def test_every_kind_of_record_is_kept(store: Store) -> None:
    """Each record of a log stands in the table of its kind; texts are left out."""
    assert len(await stored(store, SERVER_JSON)) == 7

    (interception,) = await rows(store, "interceptions")
    tokens = await rows(store, "token_usages")
    ((prompt,), (tool,), (thought,)) = [await rows(store, name) for name in ("prompts", "tool_usages", "model_thoughts")]
    assert interception == {
        "deployment": "d",
        "interception_id": INTERCEPTION,
        "initiator_id": "e5bbaa38-37bd-4bc8-8be6-d7b37922dff0",
        "api_key_id": "Ex4mpleKey",
        "provider": "anthropic",
        "model": "example-model-1",
        "started_at": START_MS + 123,
        "ended_at": START_MS + 3_500,
        "received_at": NOW,
    }
    assert sorted((row["input"], row["output"], row["cache_creation_input"]) for row in tokens) == [
        (0, 130, 0),
        (12, 8, 53_194),
    ]
    assert (prompt["created_at"], prompt["prompt_length"], prompt["prompt"]) == (START_MS + 3_500, 61, None)
    assert (tool["tool"], tool["injected"], tool["invocation_error"], tool["input"]) == ("example_tool", False, "", None)
    assert (thought["content_length"], thought["content"]) == (19, None)


async def test_texts_are_kept_when_wanted(store: Store) -> None:
    """With the texts their length and hash stay."""
    await stored(store, SERVER_JSON, keep_texts=True)

    ((prompt,), (tool,)) = [await rows(store, name) for name in ("prompts", "tool_usages")]
    assert prompt["prompt"].startswith("first line of a prompt\n\n")
    assert tool["input"] == '{"key":"value with space"}'
    assert len(tool["input_hash"]) == 32


async def test_the_same_again_is_not_new(store: Store) -> None:
    """Neither a record that is stored nor one that comes twice at once counts again."""
    first = await stored(store, SERVER_JSON, SERVER_JSON, DEVELOPMENT)
    again = await stored(store, DEVELOPMENT, SERVER_JSON)

    assert len(first) == 13
    assert again == []
    assert len(await rows(store, "token_usages")) == 4


async def test_the_order_of_lines_does_not_matter(store: Store) -> None:
    """Records that come in any order, each in a transaction of its own, leave the same rows."""
    await stored(store, DEVELOPMENT, deployment="in order")
    found = records(DEVELOPMENT, keep_texts=False)
    for seed in range(5):
        shuffled = random.Random(seed).sample(found, len(found))
        for record in shuffled:
            new = await store.transact(
                lambda c, record=record, seed=seed: aibridge.store(c, [record], deployment=f"{seed}", received_at=NOW)  # type: ignore[misc]
            )
            assert new == [record]

    interceptions = [{**row, "deployment": ""} for row in await rows(store, "interceptions")]
    assert interceptions == [interceptions[0]] * 6
    assert interceptions[0]["provider"] == "anthropic"


async def test_what_came_before_its_start(store: Store) -> None:
    """Without a start the interception is placed at its earliest record; the start then says when it was."""
    await stored(store, line("interception_end", ended_at="2026-01-13T09:00:09Z"))
    await stored(store, line("token_usage", created_at="2026-01-13T09:00:05Z"))
    (before,) = await rows(store, "interceptions")
    await stored(store, start())
    (after,) = await rows(store, "interceptions")

    assert (before["started_at"], before["provider"]) == (START_MS + 5_000, None)
    assert (after["started_at"], after["provider"], after["ended_at"]) == (START_MS, "anthropic", START_MS + 9_000)


async def test_an_interception_starts_and_ends_once(store: Store) -> None:
    """A second start or end, whatever it says, changes nothing."""
    await stored(store, start(), line("interception_end"))
    again = await stored(store, start(model="other"), line("interception_end", ended_at="2026-01-13T10:00:00Z"))

    (row,) = await rows(store, "interceptions")
    assert again == []
    assert (row["model"], row["ended_at"]) == ("example-1", START_MS)


async def test_deployments_are_kept_apart(store: Store) -> None:
    """The same id in another deployment is another interception."""
    await stored(store, DEVELOPMENT)
    assert len(await stored(store, DEVELOPMENT, deployment="other")) == 6

    count = select(func.count()).select_from(tables.aibridge_interceptions)
    assert await store.read(lambda c: c.scalar(count)) == 2
