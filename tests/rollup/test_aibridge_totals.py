"""What the totals of one deployment say, on both databases."""

from __future__ import annotations

from collector.persist import aibridge
from collector.persist.engine import Store
from collector.rollup.aibridge_totals import AiTotals, DurationTotal, ModelTotal, ToolTotal, ai_totals
from collector.wire.aibridge import Tokens
from tests.aibridge import NOW, SERVER_JSON, records

WHOSE = "anthropic", "example-model-1"


async def test_they_are_those_of_the_deployment(store: Store) -> None:
    """Each kind of sum as it is kept, and nothing of another deployment's."""
    found = records(SERVER_JSON, keep_texts=False)
    await store.transact(lambda connection: aibridge.store(connection, found, deployment="d", received_at=NOW))

    tokens = Tokens(input=12, output=138, cache_read_input=7, cache_creation_input=53_194, cache_ephemeral_5m_input=53_194)
    assert await store.read(lambda connection: ai_totals(connection, "d")) == AiTotals(
        models=(ModelTotal(*WHOSE, "e5bbaa38-37bd-4bc8-8be6-d7b37922dff0", interceptions=1, prompts=1, tokens=tokens),),
        durations=(DurationTotal(*WHOSE, (0, 0, 1, 0, 0, 0, 0, 0), 3.377),),
        tools=(ToolTotal(*WHOSE, injected=False, server="", tool="example_tool", calls=1),),
    )
    assert await store.read(lambda connection: ai_totals(connection, "other")) == AiTotals()
