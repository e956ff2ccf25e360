"""``make bench``: everything that is measured, part by part; ``python -m benchmarks PART...`` measures some of them.

Each part runs in a process of its own, prints a table, and with --write keeps it in README.md and results.json here.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from benchmarks.figures import Plan, keep

# In this order; each is a module of this package with a function ``measure``.
PARTS = ("intake", "scrape", "rollup", "pages", "ailog", "start", "memory", "busy", "growth", "hotpath", "workers")


def main() -> int:
    """Run, print, and with --write keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all by default: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    parser.add_argument("--seconds", type=int, default=Plan().seconds, help="of load in a round")
    parser.add_argument("--small", action="store_true", help="with less data, for a look on the way")
    parser.add_argument("--reports", type=int, default=0, help="that memory is measured with")
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/")
    args = parser.parse_args()
    parts = args.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if len(parts) > 1:
        given = [each for each in sys.argv[1:] if each not in parts]
        alone = [sys.executable, "-m", "benchmarks"]
        failed = [part for part in parts if subprocess.run([*alone, part, *given], check=False).returncode]
        print(f"failed: {', '.join(failed)}" if failed else "all parts have been measured", file=sys.stderr)
        return len(failed)
    (part,) = parts
    module = importlib.import_module(f"benchmarks.{part}")
    figures = module.measure(Plan(args.rounds, args.seconds, small=args.small, reports=args.reports))
    print(f"\n## {part}\n\n{figures.text}", flush=True)
    if args.write:
        keep(part, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
