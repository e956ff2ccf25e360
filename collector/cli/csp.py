"""``collector csp``: what the collector makes of a report, without a service or a database; its noise rules, and policies."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from collector.cli import noise, policy
from collector.cli.command import Subcommands
from collector.http.body import check_report
from collector.normalize.explain import explain
from collector.wire.errors import InvalidInput, InvalidReport, TooLarge


def add(commands: Subcommands) -> None:
    """Declare the commands."""
    csp = commands.add_parser("csp", help="look at CSP reports").add_subparsers(required=True, metavar="COMMAND")
    policy.add(csp)
    parser = csp.add_parser("explain", help="print what becomes of each entry of a request body, one JSON line each")
    parser.add_argument("file", metavar="FILE|-", help="the body as a browser sent it; - reads standard input")
    parser.add_argument("--content-type", metavar="TYPE", help="as the browser sent it; the shape of the body decides")
    parser.set_defaults(run=run)
    noise.add(csp)


def run(args: argparse.Namespace) -> int:
    """Print accepted entries on standard output, refused ones with the reason on standard error; 1 if none was accepted."""
    try:
        body = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{args.file}: {error.strerror}") from error
    try:
        check_report(body)
        entries, refused = explain(body)
    except TooLarge as error:
        raise InvalidInput(f"{args.file}: {len(body)} bytes.", error.detail) from error
    except InvalidReport as error:
        print(f"refused: {error.message} {error.detail}".rstrip(), file=sys.stderr)
        return 1
    for entry in entries:
        print(json.dumps(entry))
    for reason in refused:
        print(f"refused: {reason}", file=sys.stderr)
    return 0 if entries else 1
