"""``collector backup``."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of
from collector.config.flags import add_flags
from collector.config.settings import Settings
from collector.persist.backup import back_up
from collector.persist.meta import note_backup
from collector.wire.clock import wall_clock
from collector.wire.errors import CollectorError, InvalidOption


def add(commands: Subcommands) -> None:
    """Declare the command."""
    parser = commands.add_parser("backup", help="copy the SQLite database, also while the service runs")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", metavar="FILE", nargs="?", help="the copy, which must not exist yet")
    what.add_argument("--taken", action="store_true", help="copy nothing: tell the service that pg_dump, or the like, has")
    add_flags(parser, STORE_OPTIONS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Copy the database, check the copy, say how large it is, and note when that was."""
    settings, now = settings_of(args), wall_clock()
    if args.taken:
        in_transaction(settings, partial(note_backup, at=now))
        return 0
    if settings.pg_connection_url:
        raise InvalidOption("CODER_PG_CONNECTION_URL: PostgreSQL is backed up with pg_dump, as docs/operations.md shows")
    size = back_up(settings.data_dir / "collector.db", Path(args.file))
    print(f"Copied {size:,} bytes to {args.file}.")
    _note(settings, now)
    return 0


def _note(settings: Settings, at: int) -> None:
    """One short transaction on the database itself: a service that is writing is waited for, and waits.

    It comes after the copy, which is whole whatever becomes of it: of a database of an older version, or one that stays
    locked, nothing is noted, and that is said.
    """
    try:
        in_transaction(settings, partial(note_backup, at=at))
    except CollectorError as error:
        print(f"The copy is whole, but the service was not told of it: {error} {error.detail}".rstrip(), file=sys.stderr)
