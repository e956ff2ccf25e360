"""``collector history``: what was stored over the months, for other programs."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_reading, settings_of
from collector.config.flags import add_flags
from collector.rollup.openmetrics import LABEL_NAME, openmetrics
from collector.wire.clock import wall_clock
from collector.wire.errors import InvalidInput


def add(commands: Subcommands) -> None:
    """Declare the command."""
    history = commands.add_parser("history", help="give the stored snapshots to other programs")
    export = history.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "export", help="print them on standard output, for promtool tsdb create-blocks-from openmetrics"
    )
    export.add_argument("--openmetrics", action="store_true", required=True, help="as OpenMetrics text with times")
    export.add_argument("--from", dest="since", metavar="TIME", help="RFC 3339; without it, all there is")
    export.add_argument("--to", dest="until", metavar="TIME", help="RFC 3339; without it, now")
    export.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label for every series, as job and instance of the scrape; may be repeated",
    )
    add_flags(export, STORE_OPTIONS)
    export.set_defaults(run=export_command)


def export_command(args: argparse.Namespace) -> int:
    """Print a line for each sample, within one reading transaction."""
    since = 0 if args.since is None else _moment("--from", args.since)
    until = wall_clock() if args.until is None else _moment("--to", args.until)
    labels = dict(map(_label, args.label))

    def export(connection: Connection) -> None:
        for line in openmetrics(connection, since=since, until=until, labels=labels):
            sys.stdout.write(line)

    in_reading(settings_of(args), export)
    return 0


def _moment(flag: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{flag}: {text!a} is not a time like 2026-01-14T10:00:00Z") from None


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not LABEL_NAME.fullmatch(name):
        raise InvalidInput(f"--label: {text!a} is not NAME=VALUE")
    return name, value
