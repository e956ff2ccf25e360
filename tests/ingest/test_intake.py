"""The trunk of the feeds: what a body costs its key."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import select

from collector.http.appkeys import BUDGET, CAP, STORE
from collector.persist.tables import agent_stats
from collector.rollup.store_cap import StoreState
from tests.inside import running


def a_report() -> dict[str, Any]:
    """What an agent that nobody is connected to reports."""
    return {key: str(uuid.uuid4()) for key in ("agent_id", "workspace_id", "user_id", "template_id", "id")} | {"stats": {}}


async def test_a_body_over_the_limit_is_taken_once_a_minute_at_most(tmp_path: Path) -> None:
    """With a full budget it is taken whole; the next one has to wait."""
    async with running("sqlite", tmp_path, COLLECTOR_INGEST_RATE_LIMIT="2") as inside:
        body = json.dumps([a_report() for _ in range(5)])
        answers = [await inside.post("/api/v2/ingest/agent-stats", body, **inside.feed) for _ in range(2)]

        assert answers[0] == (200, {"accepted": 5, "rejected": []})
        assert answers[1][0] == 429


async def test_a_refused_body_costs_no_budget(tmp_path: Path) -> None:
    """What was not stored will be sent again, and is then within the budget."""
    async with running("sqlite", tmp_path, COLLECTOR_INGEST_RATE_LIMIT="3", COLLECTOR_MAX_STORE_BYTES="1000") as inside:
        async with asyncio.timeout(60):
            while inside.app[CAP].state is not StoreState.CLOSED:
                await inside.metrics()
        body = json.dumps([a_report() for _ in range(3)])

        assert (await inside.post("/api/v2/ingest/agent-stats", body, **inside.feed))[0] == 503
        assert inside.app[BUDGET].take(inside.secrets.feed_key[:10], 3) == 3


async def test_where_usage_is_not_collected_every_row_is_rejected(tmp_path: Path) -> None:
    """Nothing is stored and nothing is called accepted; a row that is no report keeps its own words."""
    async with running("sqlite", tmp_path, CODER_STATS_COLLECTION_USAGE_STATS_ENABLE="false") as inside:
        status, answer = await inside.post("/api/v2/ingest/agent-stats", json.dumps([a_report(), 7]), **inside.feed)
        assert (status, answer["accepted"]) == (200, 0)
        assert answer["rejected"][0] == {"index": 0, "error": "usage statistics are not collected here"}
        assert "not collected" not in answer["rejected"][1]["error"]
        stored = await inside.app[STORE].read(lambda connection: connection.execute(select(agent_stats)).all())
        assert stored == []
