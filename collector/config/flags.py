"""The flags of every option, and the help that shows them: what acts here with ``--help``, everything with ``--help-all``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from collector.config.options import OPTIONS, Option, OptionType


def add_flags(parser: argparse.ArgumentParser, options: Iterable[Option] = OPTIONS, *, show_all: bool = False) -> None:
    """Give ``parser`` a flag for every option, under the headings of their groups; ``load`` takes what it parses.

    Help names the type, the environment variable and the default. It never shows a value that is set.
    """
    parser.allow_abbrev = False  # a flag that is misspelt, or comes later, must not reach another one
    headings: dict[str, argparse._ArgumentGroup] = {}
    for option in options:
        if not option.flag:
            continue
        title = " / ".join(group.name for group in option.groups) or "General"
        if title not in headings:
            description = option.groups[-1].description if option.groups else None
            headings[title] = parser.add_argument_group(title, description or None)
        names = [f"-{option.shorthand}"] if option.shorthand else []
        optional: dict[str, Any] = {"nargs": "?", "const": "true"} if option.type is OptionType.BOOL else {}
        headings[title].add_argument(
            *names,
            f"--{option.flag}",
            dest=option.flag,
            action="append",
            default=argparse.SUPPRESS,  # not given: absent, so that another source may speak
            metavar=str(option.type),
            help=_help(option) if show_all or option.acts else argparse.SUPPRESS,
            **optional,
        )


class HelpAll(argparse.Action):
    """``--help-all``: the help of every option, also of those that have no effect here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and exit."""
        whole = argparse.ArgumentParser(prog=parser.prog, description=parser.description)
        add_flags(whole, show_all=True)
        whole.print_help()
        parser.exit()


def _help(option: Option) -> str:
    facts = [f"${option.env}"] if option.env else []
    if option.default and not option.secret:
        facts.append(f"default {option.default}")
    if not option.acts:
        facts.append("no effect here")
    return (f"{option.description} [{', '.join(facts)}]" if facts else option.description).replace("%", "%%")
