"""``python -m benchmarks.instructions``: how many instructions a report takes from its body to the database.

A fixed number of reports is read, folded and stored by the code that does it in the service, without network. What callgrind
counts is the difference between two runs of which one does it twice as often, so that start and imports cancel out. That is
the same on a machine that is busy: changes of 2 % can be seen. Needs valgrind.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.hotpath import BATCH, WAYS, run

TIMES = 20  # batches of 64 bodies


def main() -> int:
    """Count, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"all by default: {', '.join(WAYS)}")
    parser.add_argument("--batches", type=int, default=TIMES)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # under valgrind: the way, and how many batches
    args = parser.parse_args()
    if args.run:
        run(args.run[0], int(args.run[1]))
        return 0
    for way in args.ways or WAYS:
        few, many = (_counted(way, batches) for batches in (args.batches, 2 * args.batches))
        print(f"{way}: {(many - few) / (args.batches * BATCH * WAYS[way].reports):,.0f} instructions a report", flush=True)
    return 0


def _counted(way: str, batches: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "out")
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            sys.executable,
            "-m",
            "benchmarks.instructions",
        ]
        # A set of strings has an order of its own in each process otherwise.
        env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "malloc"}
        done = subprocess.run([*command, "--run", way, str(batches)], check=True, capture_output=True, text=True, env=env)
        found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise SystemExit(done.stderr)
    return int(found.group(1))


if __name__ == "__main__":
    sys.exit(main())
