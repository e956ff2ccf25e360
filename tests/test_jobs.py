"""The table of jobs: who does what when there are several replicas."""

from __future__ import annotations

import json
from pathlib import Path

from collector.http.appkeys import SCHEDULE
from collector.rollup.schedule import By
from tests.inside import running

LEADERS = {"snapshot", "retention", "noise", "alerts", "upstream 0", "upstream 0 workspaces"}
EVERYBODYS = {
    *("shown snapshots", "agent metrics"),  # what a replica answers from
    *("credentials", "token use", "certificates", "erasures", "canary", "cap", "facets", "update check"),  # about itself
}
NOBODY = "http://127.0.0.1:9"


async def test_every_job_says_whose_it_is(tmp_path: Path) -> None:
    """With all that can be configured; a job that is new here needs a place in one of the two lists."""
    token = tmp_path / "token"
    token.write_text("secret")
    async with running(
        "sqlite",
        tmp_path,
        COLLECTOR_UPSTREAMS=json.dumps([{"url": NOBODY, "token_file": str(token)}]),
        COLLECTOR_ALERT_WEBHOOK_URL=f"{NOBODY}/hook",
        COLLECTOR_CANARY="true",
        COLLECTOR_CODER_METRICS="true",
    ) as inside:
        by = {job.name: job.by for job in inside.app[SCHEDULE].jobs}

    assert {name for name, who in by.items() if who is By.LEADER} == LEADERS
    assert {name for name, who in by.items() if who is By.EVERY} <= EVERYBODYS
