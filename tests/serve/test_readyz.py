"""What /readyz tells the public."""

from __future__ import annotations

import asyncio
from pathlib import Path

from collector.http.appkeys import SCHEDULE, SNAPSHOTS, WRITER
from tests.inside import running


async def test_what_an_error_said_is_not_shown(tmp_path: Path) -> None:
    """A failing store and a failing rollup are named in fixed words: the error's own are for the log."""
    async with running("sqlite", tmp_path, CODER_AGENT_STATS_REFRESH_INTERVAL="23h") as inside:
        jobs = inside.app[SCHEDULE].facts
        async with asyncio.timeout(60):
            while not all(job.runs for job in jobs.values()):  # the next runs are far away, and change nothing below
                await inside.metrics()
        words = "connection to 10.0.0.7 failed for user collector"
        inside.app[WRITER].failure.since, inside.app[WRITER].failure.words = 0.0, words
        inside.app[SNAPSHOTS].current = None
        facts = jobs["snapshot"]
        facts.failures_in_a_row, facts.last_error = 1, words
        async with inside.client.get("/readyz") as response:
            assert response.status == 503
            checks = {check["name"]: check["detail"] for check in (await response.json())["checks"]}

    assert (checks["store"], checks["rollup"]) == ("commits fail", "the last run failed")
