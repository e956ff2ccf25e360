"""One collector after the other is replaced under load, as ``python -m tests.cluster.upgrade`` does from an older version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.upgrade import upgrade
from tests.cluster.world import everything

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("servers", [0, 1], ids=["postgresql", "jetstream"])
async def test_no_request_fails_while_each_collector_is_replaced(
    tmp_path: Path, servers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a balancer that only knows who takes a connection; and all that was sent is stored once."""
    with everything(tmp_path, servers=servers) as world:
        done = await upgrade(world, phase_s=2)
    with capsys.disabled():
        sys.stdout.write(f"\n{done.summary}\n")
    assert done.faults == []
