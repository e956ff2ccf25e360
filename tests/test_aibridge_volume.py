"""A log of 100 MB: taken in one request, with as much memory as a small one, and counted right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.aibridge import sums, synthetic
from tests.service import Service, run_service

SIZE = 100_000_000
TOKENS = ("input", "output", "cache_read_input", "cache_creation_input")
GROWTH_MB = (
    40  # over a tenth of the log: the pages of a larger database that SQLite keeps, which are bounded, and holes in the heap
)


def resident_mb(pid: int) -> float:
    """The most memory that a process has had since its start."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def ingest(service: Service, file: Path) -> tuple[dict[str, Any], str]:
    """The receipt of the command, and what it showed on the way."""
    command = [sys.executable, "-m", "collector", "aibridge", "ingest", str(file), "--json"]
    where = ["--url", service.url, "--feed-key", service.feed_key]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    receipt: dict[str, Any] = json.loads(done.stdout)
    return receipt, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_a_log_of_a_hundred_megabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes no more memory than a small one, its sums are those of the file, and the same file again adds nothing."""
    file, small = tmp_path / "log.ndjson", tmp_path / "small.ndjson"
    small.write_bytes(b"".join(synthetic(10_000_000, seed=6)))
    with file.open("wb") as log:
        log.writelines(synthetic(SIZE))
    with small.open("rb") as first, file.open("rb") as second:
        own = sums(first) + sums(second)
    with file.open("rb") as log:
        lines = sum(1 for _ in log)

    with run_service(tmp_path / "service") as service:
        ingest(service, small)
        pid = service.process.pid
        before = resident_mb(pid)
        receipt, shown = ingest(service, file)
        growth = resident_mb(pid) - before
        used = service.get("/api/v2/aibridge/usage")["total"]
        again, _ = ingest(service, file)
        used_again = service.get("/api/v2/aibridge/usage")["total"]

    with capsys.disabled():
        size = file.stat().st_size / 1e6
        sys.stdout.write(
            f"\n{size:.0f} MB, {lines:,} lines: {growth:.0f} MB over the peak of 10 MB; {shown.splitlines()[-1]}\n"
        )
    assert (receipt["accepted"], receipt["duplicate"], receipt["rejected_count"]) == (lines, 0, 0)
    assert (again["accepted"], again["duplicate"]) == (0, lines)
    assert used_again == used
    assert growth < GROWTH_MB
    assert f"{lines:,} lines sent" in shown
    assert (used["interceptions"], used["prompts"]) == (own["interception_start"], own["prompt_usage"])
    assert (used["tool_calls"], used["errors"]) == (own["tool_usage"], own["errors"])
    assert {kind: used["tokens"][kind] for kind in TOKENS} == {kind: own[kind] for kind in TOKENS}
