"""``collector migrate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from collector.cli.command import STORE_OPTIONS, Subcommands, settings_of, with_database
from collector.config.flags import add_flags
from collector.persist import migrate
from collector.wire.errors import InvalidOption


def add(commands: Subcommands) -> None:
    """Declare the command."""
    parser = commands.add_parser("migrate", help="bring the database to this version's tables")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when migrations are missing")
    add_flags(parser, STORE_OPTIONS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Migrate, or with --check say what is missing."""
    settings = settings_of(args)
    missing = with_database(migrate.pending(settings.database_url))
    if args.check:
        print(f"Missing: {', '.join(missing)}" if missing else "Up to date.")
        return 1 if missing else 0
    if not settings.pg_connection_url:
        _make(settings.data_dir)
    with_database(migrate.upgrade(settings.database_url))
    print(f"Applied: {', '.join(missing)}" if missing else "Up to date.")
    return 0


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidOption(f"COLLECTOR_DATA_DIR: cannot make {directory}: {error.strerror}") from error
