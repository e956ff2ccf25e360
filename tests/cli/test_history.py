"""``collector history``: months of snapshots reach Prometheus."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from collector.__main__ import main
from collector.http.appkeys import STORE
from collector.persist.history_tables import history_minutes
from collector.persist.tables import snapshots
from collector.rollup.snapshot import store, utc
from collector.wire.clock import wall_clock
from tests.inside import Inside
from tests.requirements import program
from tests.rollup.test_history import snapshot

DAY_MS = 86_400_000
BEGIN = (wall_clock() // DAY_MS - 4) * DAY_MS  # so young that retention leaves it alone
SPAN = ("--from", utc(BEGIN).isoformat(), "--to", utc(BEGIN + 3 * DAY_MS).isoformat())
OTHER = "5b1c6f0e-2f43-4a57-9f0e-8f6f1f0e0001"

pytestmark = pytest.mark.usefixtures("its_database")


async def exported(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What the command prints."""
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["history", "export", "--openmetrics", *argv]) == 0
    return capsys.readouterr().out


def fill(connection: Connection) -> None:
    """Three days, of which the first is known by the hour and the second by five minutes; and one moment of somebody else."""
    for at in range(BEGIN, BEGIN + 3 * DAY_MS, 150_000):
        store(connection, snapshot(at, running=at // 150_000 % 100, p50=12.5, deployment=OTHER))
    connection.execute(delete(snapshots).where(snapshots.c.collected_at < BEGIN + 2 * DAY_MS))
    connection.execute(delete(history_minutes).where(history_minutes.c.at < BEGIN + DAY_MS))


@pytest.mark.slow
async def test_promtool_makes_blocks_of_it(inside: Inside, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real promtool takes the file, and finds every sample in the blocks."""
    await inside.app[STORE].transact(fill)
    text = await exported(capsys, *SPAN, "--label", "job=collector")
    file, blocks = tmp_path / "history.om", tmp_path / "blocks"
    file.write_text(text)
    promtool = [program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=48h", "openmetrics"]
    made = await asyncio.to_thread(
        lambda: subprocess.run([*promtool, file, blocks], capture_output=True, text=True, check=False)
    )
    assert made.returncode == 0, made.stderr
    samples = sum(int(row.split()[4]) for row in made.stdout.splitlines() if re.match(r"01[0-9A-Z]{24} ", row))
    assert samples == len([line for line in text.splitlines() if not line.startswith("#")])


async def test_each_moment_is_told_by_the_finest_rows(inside: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of the first day, five minutes of the second, a snapshot of the third; peaks have series of their own."""
    await inside.app[STORE].transact(fill)
    text = await exported(capsys, *SPAN)

    def times(name: str, labels: str) -> list[int]:
        found = re.findall(
            rf'^collector_deployment_{name}{{{labels},deployment="{OTHER}",source="reports"}} \S+ (\S+)$', text, re.MULTILINE
        )
        return [round(float(at) * 1000) for at in found]

    last = times("workspaces", 'status="running"')
    assert last == sorted(set(last))
    by_day = [len([at for at in last if day * DAY_MS <= at - BEGIN < (day + 1) * DAY_MS]) for day in range(3)]
    assert by_day == [24, 288, 576]
    assert len(times("workspaces_max", 'status="running"')) == 24 + 288
    assert f'latency_seconds{{percentile="50",deployment="{OTHER}",source="reports"}} 0.0125 ' in text
    assert text.endswith("# EOF\n")


async def test_what_it_cannot_use_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit code 2."""
    for option, value in (("--from", "yesterday"), ("--to", "1e3"), ("--label", "job"), ("--label", "0=x")):
        assert await asyncio.to_thread(main, ["history", "export", "--openmetrics", option, value]) == 2
        assert option in capsys.readouterr().err
