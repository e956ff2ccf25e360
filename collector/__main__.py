"""``collector``: argv in, one call out. Expected failures are one line; misuse exits with 2."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Sequence

import collector
from collector.wire.errors import CollectorError, InvalidInput, InvalidOption

# Which module of collector.cli declares a command. Loading them all takes a second, which a command line feels.
MODULES = {
    "serve": "serve",
    "demo": "serve",
    "migrate": "migrate",
    "backup": "backup",
    "restore": "backup",
    "export": "moving",
    "import": "moving",
    "user": "accounts",
    "token": "accounts",
    "project": "projects",
    "key": "keys",
    "agent": "agents",
    "user-data": "userdata",
    "config": "config",
    "csp": "csp",
    "history": "history",
    "aibridge": "aibridge",
    "api": "api",
    "metrics": "metrics",
    "simulate": "simulate",
    "sbom": "sbom",
}

LONGEST_FLAG = 100  # of what is compared with those that there are


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 not done, 2 misused."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="collector", description="Collect CSP reports and Coder usage.")
    parser.add_argument("--version", action="version", version=f"collector {collector.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _modules(argv):
        importlib.import_module(f"collector.cli.{module}").add(commands)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        # What follows a flag that is misspelt may be a secret: the flags alone are named.
        known = _known_flags(parser, argv)
        parser.error(f"unrecognized arguments: {' '.join(_named(argument, known) for argument in unknown)}")
    try:
        code = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has had enough, as "head" does. What is left in the buffer must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CollectorError as error:
        print(f"collector: {' '.join(f'{error.message} {error.detail}'.split())}", file=sys.stderr)
        return 2 if isinstance(error, InvalidInput | InvalidOption) else 1
    except KeyboardInterrupt:
        return 130
    return int(code)


def _modules(argv: Sequence[str]) -> Iterable[str]:
    """Those that ``argv`` needs: the one of its command, none for the version, else all of them, for the help names all."""
    first = argv[0] if argv else ""
    if first in MODULES:
        return (MODULES[first],)
    return () if first == "--version" else dict.fromkeys(MODULES.values())


def _known_flags(parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """The flags of the command that ``argv`` begins with."""
    commands = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)  # noqa: SLF001
    for place, argument in enumerate(argv):
        if commands is not None and argument in commands.choices:
            return _known_flags(commands.choices[argument], argv[place + 1 :])
    return list(parser._option_string_actions)  # noqa: SLF001 — argparse has no name for it


def _named(argument: str, known: Sequence[str]) -> str:
    """The flag in ``argument``, and the one that was probably meant; never the value."""
    flag = _flag(argument)
    nearest = difflib.get_close_matches(flag[:LONGEST_FLAG], known, n=1) if flag.startswith("--") else []
    return f"{flag} (did you mean {nearest[0]}?)" if nearest else flag


def _flag(argument: str) -> str:
    if argument.startswith("--"):
        return ascii(argument.partition("=")[0])[1:-1]
    return ascii(argument[:2])[1:-1] if argument.startswith("-") else "…"


if __name__ == "__main__":
    sys.exit(main())
