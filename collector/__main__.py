"""``collector``: argv in, one call out. Expected failures are one line; misuse exits with 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import collector
from collector.cli import accounts, csp, keys, migrate, serve, simulate
from collector.wire.errors import CollectorError, InvalidInput, InvalidOption

NOUNS = (serve, migrate, accounts, keys, csp, simulate)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 not done, 2 misused."""
    parser = argparse.ArgumentParser(prog="collector", description="Collect CSP reports and Coder usage.")
    parser.add_argument("--version", action="version", version=f"collector {collector.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for noun in NOUNS:
        noun.add(commands)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except CollectorError as error:
        print(f"collector: {' '.join(f'{error.message} {error.detail}'.split())}", file=sys.stderr)
        return 2 if isinstance(error, InvalidInput | InvalidOption) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
