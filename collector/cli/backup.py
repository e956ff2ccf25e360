"""``collector backup``."""

from __future__ import annotations

import argparse
from pathlib import Path

from collector.cli.command import STORE_OPTIONS, Subcommands, settings_of
from collector.config.flags import add_flags
from collector.persist.backup import back_up
from collector.wire.errors import InvalidOption


def add(commands: Subcommands) -> None:
    """Declare the command."""
    parser = commands.add_parser("backup", help="copy the SQLite database, also while the service runs")
    parser.add_argument("file", metavar="FILE", help="the copy, which must not exist yet")
    add_flags(parser, STORE_OPTIONS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Copy the database, check the copy, and say how large it is."""
    settings = settings_of(args)
    if settings.pg_connection_url:
        raise InvalidOption("CODER_PG_CONNECTION_URL: PostgreSQL is backed up with pg_dump, as docs/operations.md shows")
    size = back_up(settings.data_dir / "collector.db", Path(args.file))
    print(f"Copied {size:,} bytes to {args.file}.")
    return 0
