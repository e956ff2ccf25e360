"""``collector export`` and ``collector import``: all that the database holds, from one to another of either kind."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection

import collector
from collector.cli.command import STORE_OPTIONS, Subcommands, in_reading, settings_of, with_database
from collector.config.flags import add_flags
from collector.persist import migrate
from collector.persist.archive import ArchiveReader, Head, TableHead
from collector.persist.engine import open_store
from collector.persist.lockfile import only_one
from collector.persist.moving import Show, check_empty, read_archive, write_archive
from collector.persist.newfile import new_file
from collector.wire.errors import Conflict, InvalidInput

PIPE = "-"


def add(commands: Subcommands) -> None:
    """Declare the commands."""
    export = commands.add_parser("export", help="write all that the database holds to a file, also while the service runs")
    export.add_argument("file", metavar="FILE", help="which must not exist yet, or - for standard output")
    add_flags(export, STORE_OPTIONS)
    export.set_defaults(run=export_command)
    load = commands.add_parser("import", help="fill an empty database of either kind with what an export holds")
    load.add_argument("file", metavar="FILE", help="an export, or - for standard input")
    add_flags(load, STORE_OPTIONS)
    load.set_defaults(run=import_command)


def export_command(args: argparse.Namespace) -> int:
    """Write the file, and say how much is in it."""
    settings = settings_of(args)

    def export(out: BinaryIO) -> Head:
        with progress(sys.stderr) as show:
            write: Callable[[Connection], Head] = partial(
                write_archive,
                out=out,
                revision=migrate.revisions()[-1],
                made_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                made_by=collector.__version__,
                show=show,
            )
            return in_reading(settings, write)

    if args.file == PIPE:
        if sys.stdout.isatty():
            raise InvalidInput("An export is not for a terminal: give a file, or a pipe.")
        print(f"Exported {_sum(export(sys.stdout.buffer))}.", file=sys.stderr)
        return 0
    target = Path(args.file)
    with new_file(target) as part, part.open("wb") as out:
        head = export(out)
        out.flush()
    print(f"Exported {_sum(head)} to {target}: {target.stat().st_size:,} bytes.")
    return 0


def import_command(args: argparse.Namespace) -> int:
    """Fill the database, and say how much came."""
    settings = settings_of(args)
    with _source(args.file) as source:
        archive = ArchiveReader(source)
        if (revision := archive.head.revision) not in migrate.revisions():
            raise Conflict(
                f"This export is of migration {revision[:40]!a}, which this version does not know: a newer one made it."
            )
        with nullcontext() if settings.pg_connection_url else only_one(settings.data_dir), progress(sys.stderr) as show:
            with_database(_import(settings.database_url, archive, show))
    print(f"Imported {_sum(archive.head)}, exported from {archive.head.database} at {archive.head.made_at}.")
    return 0


async def _import(url: str, archive: ArchiveReader, show: Show) -> None:
    """Bring an empty database to the archive's migration, fill it in one transaction, and bring it up to date."""
    revision, known = archive.head.revision, migrate.revisions()
    missing = await migrate.pending(url)
    store = open_store(url, pool_size=1)
    try:
        if len(missing) < len(known):
            await store.read(check_empty)
            if revision not in missing and revision != (at := known[-len(missing) - 1]):
                raise Conflict(
                    f"This export is of migration {revision}, the database is at {at} already."
                    " Import into a new database: it is migrated on the way."
                )
        if revision in missing:
            await migrate.upgrade(url, revision)
        await store.transact(partial(read_archive, archive=archive, current=revision == known[-1], show=show))
        await migrate.upgrade(url)
    finally:
        await store.close()


def _source(name: str) -> AbstractContextManager[BinaryIO]:
    if name == PIPE:
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise InvalidInput(f"{name}: {error.strerror}") from error


def _sum(head: Head) -> str:
    return f"{sum(table.rows for table in head.tables):,} rows of {len(head.tables)} tables"


@contextmanager
def progress(stream: TextIO) -> Iterator[Show]:
    """Give a ``show`` that moves a bar on a terminal, and does nothing elsewhere."""
    if not stream.isatty():
        yield _nothing
        return
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("")

        def show(table: TableHead, done: int) -> None:
            bar.update(task, description=table.name, completed=done, total=table.rows)

        yield show


def _nothing(_table: TableHead, _done: int) -> None:
    """Where nobody looks."""
