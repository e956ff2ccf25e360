"""A copy that is made while reports come in: it is of one moment, and a collector that starts on it has just that."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from pathlib import Path

import pytest
from sqlalchemy import func, select

from collector.__main__ import main
from collector.http.appkeys import STORE
from collector.persist.tables import agent_report_ids, agent_stats
from tests.failing.sent import AGENT, brought
from tests.inside import Inside, running
from tests.test_flood import sums

SENDERS, BEFORE, COPIES = 16, 400, 3


class Load:
    """Clients that send one report after the other, each a violation's and an agent's in turn."""

    def __init__(self, collector: Inside) -> None:
        self._collector = collector
        self.sent = self.acknowledged = 0
        self.done = False

    async def send(self, number: int) -> None:
        """Send until it is done."""
        while not self.done:
            self.sent += 1
            assert (await brought(self._collector, number))[0] == 200
            self.acknowledged += 1
            row = json.dumps([{**AGENT, "id": uuid.uuid4().hex}])
            assert (await self._collector.post("/api/v2/ingest/agent-stats", row, **self._collector.feed))[0] == 200

    async def reach(self, acknowledged: int) -> None:
        """Return once so many are."""
        while self.acknowledged < acknowledged:  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0)


@pytest.mark.slow
async def test_a_copy_under_load_is_of_one_moment(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was acknowledged before is in it, nothing that was sent after, and every sum of it says the same."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(migrated_file, data / "collector.db")
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(data))
    monkeypatch.delenv("CODER_PG_CONNECTION_URL", raising=False)
    bounds: list[tuple[int, int]] = []
    async with running("sqlite", data, COLLECTOR_INGEST_RATE_LIMIT="0") as collector:
        load = Load(collector)
        senders = [asyncio.create_task(load.send(number)) for number in range(SENDERS)]
        for number in range(COPIES):
            await load.reach((number + 1) * BEFORE)
            least = load.acknowledged
            assert await asyncio.to_thread(main, ["backup", str(tmp_path / f"copy-{number}.db")]) == 0
            bounds.append((least, load.sent))
        load.done = True
        await asyncio.gather(*senders)
        assert (await collector.app[STORE].read(sums))["violations"] == load.acknowledged

    for number, (least, most) in enumerate(bounds):
        place = tmp_path / f"restored-{number}"
        monkeypatch.setenv("COLLECTOR_DATA_DIR", str(place))
        assert await asyncio.to_thread(main, ["restore", str(tmp_path / f"copy-{number}.db")]) == 0
        async with running("sqlite", place) as restored:
            read = restored.app[STORE].read
            found = await read(sums)
            rows = await read(lambda c: c.scalar(select(func.count()).select_from(agent_stats)))
            ids = await read(lambda c: c.scalar(select(func.count()).select_from(agent_report_ids)))
        del found["documents"]  # what a violation was seen with is written after it, in a job of its own
        assert len(set(found.values())) == 1, found
        assert least <= found["violations"] <= most
        assert rows == ids
