"""``collector config``: what the service would run with, and the page that describes it."""

from __future__ import annotations

import argparse
import os

from collector.cli.command import Subcommands
from collector.config.flags import add_flags
from collector.config.loading import load
from collector.config.reference import reference
from collector.config.texts import shown_lines, yaml_text


def add(commands: Subcommands) -> None:
    """Declare ``show``, ``write`` and ``docs``; the first two take every option as a flag."""
    config = commands.add_parser("config", help="look at the options").add_subparsers(required=True, metavar="COMMAND")
    shown = config.add_parser("show", help="print every option, the source of its value, and the value; secrets are masked")
    add_flags(shown)
    shown.set_defaults(run=show)
    written = config.add_parser("write", help="print YAML that loads back to the same values, without secrets")
    add_flags(written)
    written.set_defaults(run=write)
    config.add_parser("docs", help="print the page that describes the options").set_defaults(run=docs)


def show(args: argparse.Namespace) -> int:
    """Print a line an option."""
    for line in shown_lines(load(args, os.environ)):
        print(line)
    return 0


def write(args: argparse.Namespace) -> int:
    """Print a YAML file."""
    print(yaml_text(load(args, os.environ)), end="")
    return 0


def docs(_args: argparse.Namespace) -> int:
    """Print what ``docs/configuration.md`` holds."""
    print(reference(), end="")
    return 0
