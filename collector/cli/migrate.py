"""``collector migrate``."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from collector.cli.command import STORE_OPTIONS, Subcommands, settings_of, with_database
from collector.config.flags import add_flags
from collector.config.settings import Settings
from collector.persist import migrate
from collector.persist.lockfile import only_one
from collector.wire.errors import InvalidInput, InvalidOption


def add(commands: Subcommands) -> None:
    """Declare the command."""
    parser = commands.add_parser("migrate", help="bring the database to this version's tables")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="change nothing; exit 1 when migrations are missing")
    what.add_argument("--list", action="store_true", help="list the migrations of this version, oldest first")
    what.add_argument("--to", metavar="MIGRATION", help="go there, also back, which loses what later ones added")
    add_flags(parser, STORE_OPTIONS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Migrate, or with --check say what is missing."""
    settings = settings_of(args)
    if args.list:
        print("\n".join(migrate.revisions()))
        return 0
    if args.to:
        return _go(settings, args.to)
    missing = with_database(migrate.pending(settings.database_url))
    if args.check:
        print(f"Missing: {', '.join(missing)}" if missing else "Up to date.")
        return 1 if missing else 0
    if not settings.pg_connection_url:
        _make(settings.data_dir)
    with_database(migrate.upgrade(settings.database_url))
    print(f"Applied: {', '.join(missing)}" if missing else "Up to date.")
    return 0


def _go(settings: Settings, target: str) -> int:
    """Migrate forwards or backwards to ``target``."""
    known = migrate.revisions()
    if target not in known:
        raise InvalidInput(f"--to {target!r} is no migration of this version. Expected one of {', '.join(known)}")
    with nullcontext() if settings.pg_connection_url else only_one(settings.data_dir):
        missing = with_database(migrate.pending(settings.database_url))
        move = migrate.upgrade if target in missing else migrate.downgrade
        with_database(move(settings.database_url, target))
    print(f"At {target}.")
    return 0


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidOption(f"COLLECTOR_DATA_DIR: cannot make {directory}: {error.strerror}") from error
