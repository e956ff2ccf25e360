"""One collector after the other is replaced under load, as ``python -m tests.cluster.upgrade`` does from an older version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.upgrade import upgrade
from tests.cluster.world import everything

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BROKEN = 3  # connections at most, one a stop: before stops let connections have a last answer they were some 40


async def test_what_is_acknowledged_while_each_collector_is_replaced_is_stored_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a balancer that only knows who takes a connection; hardly any request fails."""
    with everything(tmp_path, servers=0) as world:
        done = await upgrade(world, phase_s=2)
    with capsys.disabled():
        sys.stdout.write(f"\n{done.summary}\n")
    assert done.stored.agents == dict.fromkeys(done.tally.agents_acknowledged, 1)
    assert done.tally.csp_acknowledged <= done.stored.reports <= done.tally.csp_sent
    assert done.tally.refused <= BROKEN
