"""``collector simulate``: a synthetic fleet and synthetic browsers that post to a running service."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import timedelta

import msgspec

from collector.cli.command import Subcommands, check_key, service_url
from collector.config.values import read_duration
from collector.simulate.display import progress, render
from collector.simulate.plan import Plan
from collector.simulate.run import run as simulate
from collector.wire.errors import InvalidInput


def add(commands: Subcommands) -> None:
    """Declare the command."""
    parser = commands.add_parser("simulate", help="play a fleet and its browsers against a running service")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of the service [default http://127.0.0.1:3000]")
    parser.add_argument("--browser-key", required=True, metavar="KEY")
    parser.add_argument("--feed-key", required=True, metavar="KEY")
    parser.add_argument("--workspaces", type=int, default=100, metavar="N", help="[default 100]")
    parser.add_argument("--browsers", type=int, default=10, metavar="N", help="[default 10]")
    parser.add_argument("--ai-users", type=int, default=4, metavar="N", help="[default 4]")
    parser.add_argument("--duration", default="30s", help="for how long [default 30s]")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed plays the same fleet [default 1]")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play, show progress, print what was acknowledged; 1 when anything was refused."""
    try:
        duration = read_duration(args.duration)
    except ValueError as error:
        raise InvalidInput(f"--duration {args.duration!r} {error}") from error
    _check(args, duration)
    plan = Plan(
        url=service_url(args.url),
        browser_key=args.browser_key,
        feed_key=args.feed_key,
        workspaces=args.workspaces,
        browsers=args.browsers,
        ai_users=args.ai_users,
        duration=duration,
        seed=args.seed,
    )
    with progress(sys.stderr, plan) as show:
        summary = asyncio.run(simulate(plan, show=show))
    print(msgspec.json.encode(summary).decode() if args.json else render(summary))
    return 0 if summary.wholly_acknowledged else 1


def _check(args: argparse.Namespace, duration: timedelta) -> None:
    if duration <= timedelta(0):
        raise InvalidInput(f"--duration {args.duration!r} must be longer than nothing")
    numbers = {"--workspaces": args.workspaces, "--browsers": args.browsers, "--ai-users": args.ai_users}
    for flag, number in numbers.items():
        if number < 0:
            raise InvalidInput(f"{flag} {number} must not be negative")
    check_key("--browser-key", args.browser_key)
    check_key("--feed-key", args.feed_key)
