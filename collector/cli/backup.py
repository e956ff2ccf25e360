"""``collector backup`` and ``collector restore``."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of
from collector.config.flags import add_flags
from collector.config.settings import Settings
from collector.persist import migrate
from collector.persist.backup import back_up
from collector.persist.lockfile import only_one
from collector.persist.meta import note_backup
from collector.persist.restore import check_backup, put_in_place
from collector.wire.clock import wall_clock
from collector.wire.errors import CollectorError, Conflict, InvalidOption


def add(commands: Subcommands) -> None:
    """Declare the commands."""
    backup = commands.add_parser("backup", help="copy the SQLite database, also while the service runs")
    what = backup.add_mutually_exclusive_group(required=True)
    what.add_argument("file", metavar="FILE", nargs="?", help="the copy, which must not exist yet")
    what.add_argument("--taken", action="store_true", help="copy nothing: tell the service that pg_dump, or the like, has")
    add_flags(backup, STORE_OPTIONS)
    backup.set_defaults(run=run)
    restore = commands.add_parser("restore", help="put such a copy in the place of the SQLite database")
    restore.add_argument("file", metavar="FILE", help="the copy")
    add_flags(restore, STORE_OPTIONS)
    restore.set_defaults(run=restore_command)


def run(args: argparse.Namespace) -> int:
    """Copy the database, check the copy, say how large it is, and note when that was."""
    settings, now = settings_of(args), wall_clock()
    if args.taken:
        in_transaction(settings, partial(note_backup, at=now))
        return 0
    size = back_up(_database(settings, "backed up with pg_dump"), Path(args.file))
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


def restore_command(args: argparse.Namespace) -> int:
    """Check the copy, and change it for the database, which is kept."""
    settings, file = settings_of(args), Path(args.file)
    database = _database(settings, "restored with pg_restore")
    revision, known = check_backup(file), migrate.revisions()
    if revision not in known:
        raise Conflict(f"{file} is at migration {revision[:40]!a}, which this version does not know: a newer one made it.")
    aside = database.with_name(f"{database.name}.replaced-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}")
    with only_one(settings.data_dir):
        replaced = put_in_place(file, database, aside=aside)
    print(f"Restored {file} to {database}.")
    if replaced:
        print(f"What was there before is {aside}: delete it when it is no longer needed.")
    if missing := known[known.index(revision) + 1 :]:
        print(f"It lacks {len(missing)} migrations, which the next start applies.")
    return 0


def _database(settings: Settings, otherwise: str) -> Path:
    if settings.pg_connection_url:
        raise InvalidOption(f"CODER_PG_CONNECTION_URL: PostgreSQL is {otherwise}, as docs/operations.md shows")
    return settings.data_dir / "collector.db"
