"""Take each protection away, one at a time, from a copy of the collector, and see that its test fails.

``python -m tests.failing.unprotected`` prints a line for each, and ends with 1 when a test passed all the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Removal(NamedTuple):
    """In ``file`` of the package ``old`` becomes ``new``; then ``test`` must fail."""

    what: str
    file: str
    old: str
    new: str
    test: str


REMOVALS = (
    Removal(
        "a sync before a commit is answered",
        *("persist/engine.py", "synchronous = FULL", "synchronous = NORMAL"),
        "tests/failing/test_power_cut.py::test_no_power_cut_loses_what_was_acknowledged",
    ),
    Removal(
        "an answer only after the commit",
        *("persist/writer.py", "        return await done\n\n    async def write", "        return ()\n\n    async def write"),
        "tests/test_kill.py",
    ),
    Removal(
        "a write that proves that the store works again",
        *("persist/writer.py", "work if self.works else self._marker.proving(work)", "work"),
        "tests/failing/test_disk_trouble.py::test_where_nothing_can_be_written",
    ),
    Removal(
        "a commit for all who wait",
        *("persist/submission.py", "weight + queue[0].weight <= BATCH_WEIGHT", "False"),
        "tests/failing/test_disk_trouble.py::test_a_slow_disk_is_shared",
    ),
    Removal(
        "a thread of its own for the writer",
        *("persist/workthread.py", "self._queue.put((work, loop, done))", "done.set_result(work())"),
        "tests/failing/test_disk_trouble.py::test_nobody_but_who_reports_waits_for_the_disk",
    ),
    Removal(
        "a broken file is not the record's fault",
        *("persist/engine.py", " or type(error) is sqlite3.DatabaseError", ""),
        "tests/failing/test_disk_trouble.py::test_a_broken_page_is_told",
    ),
    Removal(
        "a look for a batch whose commit is in doubt",
        *("persist/writer.py", "self._marker.is_marked(connection, self._number)", "False"),
        "tests/persist/test_writer.py::test_a_commit_in_doubt_is_settled_before_anybody_is_refused",
    ),
    Removal(
        "a look at the clock",
        *("rollup/schedule.py", "if before - ahead > STEPPED_S:", "if False:"),
        "tests/rollup/test_schedule.py::test_a_clock_that_is_put_back_stops_no_job",
    ),
    Removal(
        "an epoch with each write of the leader",
        *("persist/lease.py", "key_share=True)) is None:", "key_share=True)) is None and False:"),
        "tests/persist/test_lease.py",
    ),
    Removal(
        "another try of what the store did not take",
        *("persist/writer.py", "if self._closing or s.deadline <= self._clock()}", "}"),
        "tests/persist/test_writer.py",
    ),
    Removal(
        "a message applied once",
        *("persist/applied.py", "submission.message is None or submission.message in fresh", "True"),
        "tests/persist/test_applied.py",
    ),
    Removal(
        "a stop that waits",
        *("cli/serve.py", "add_signal_handler(number, stop.set)", "add_signal_handler(number, os._exit, 0)"),
        "tests/test_service.py::test_a_signal_drains",
    ),
    Removal(
        "a last answer for each connection",
        *("http/connection.py", "await self.server.leave(LEAVING_S)", "pass"),
        "tests/http/test_connection.py",
    ),
    Removal(
        "an end of what inflates",
        *("http/body.py", "inflater.decompress(sent, limit.size + 1)", "inflater.decompress(sent)"),
        "tests/ingest/test_hostile_bodies.py::test_no_bomb_goes_off",
    ),
    Removal(
        "a turn for others while a body inflates",
        *("http/stream.py", "        # Pieces that wait", "        continue\n        # Pieces that wait"),
        "tests/http/test_stream.py::test_while_it_inflates_others_have_their_turn",
    ),
    Removal(
        "a time for a head",
        *("cli/listen.py", "keepalive_timeout=KEEPALIVE_S", "keepalive_timeout=3600"),
        "tests/http/test_slow_clients.py::test_a_head_has_its_time",
    ),
    Removal(
        "a time for an answer to be read",
        *("http/connection.py", "        end_unread(transport, UNREAD_S)\n", ""),
        "tests/http/test_slow_clients.py::test_who_reads_nothing_is_left",
    ),
    Removal(
        "a look at who sends a cookie",
        *("http/guard.py", "            _check_sender(request, caller)\n", ""),
        "tests/http/test_foreign_sites.py",
    ),
)


def fails_without(removal: Removal) -> bool:
    """Whether the test fails on a copy without what is removed.

    Raises:
        LookupError: what is to be removed is not there just once.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for name in ("collector", "tests", "migrations"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        file = copy / "collector" / removal.file
        text = file.read_text(encoding="utf-8")
        if text.count(removal.old) != 1:
            raise LookupError(f"{removal.file} has {removal.old!r} {text.count(removal.old)} times")
        file.write_text(text.replace(removal.old, removal.new), encoding="utf-8")
        # A loop that is held up for good hears no signal: the timeout ends the process.
        options = ("-q", "-x", "-m", "", "-p", "no:cacheprovider", "--timeout-method=thread")
        command = [sys.executable, "-m", "pytest", *options, removal.test]
        ended = subprocess.run(command, cwd=copy, check=False, capture_output=True, text=True, timeout=900)
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"{removal.test}: {ended.stdout[-2000:]}")
    return ended.returncode == 1


def main() -> int:
    """Try all of them."""
    passed = 0
    for removal in REMOVALS:
        failed = fails_without(removal)
        passed += not failed
        sys.stdout.write(f"without {removal.what}: {removal.test} {'fails' if failed else 'PASSES'}\n")
        sys.stdout.flush()
    return int(passed > 0)


if __name__ == "__main__":
    sys.exit(main())
