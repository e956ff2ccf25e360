"""``collector csp noise``: what a file of noise rules would change."""

from __future__ import annotations

import argparse

from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_reading, settings_of
from collector.config.flags import add_flags
from collector.config.noise_rules import noise_rules
from collector.normalize.filters import NoiseFilter
from collector.normalize.rejudge import Rejudge
from collector.persist.rejudging import judged_by
from collector.rollup.noise import Moves, moves


def add(csp: Subcommands) -> None:
    """Declare the command."""
    noise = csp.add_parser("noise", help="look at noise rules").add_subparsers(required=True, metavar="COMMAND")
    test = noise.add_parser("test", help="print what a file of rules would move of the stored violations; nothing is changed")
    test.add_argument("file", metavar="FILE", help="as COLLECTOR_CSP_NOISE_RULES would name it")
    add_flags(test, STORE_OPTIONS)
    test.set_defaults(run=print_moves)


def print_moves(args: argparse.Namespace) -> int:
    """One line for each way that violations would go, the largest first."""
    noise = NoiseFilter(noise_rules(args.file))
    found = in_reading(settings_of(args), lambda connection: _moves(connection, noise))
    for move, reports in sorted(found.reports.items(), key=lambda item: (-item[1], item[0].name)):
        print(f"{found.violations[move]:>8} violations  {reports:>10} reports  {move.name}")
    total = found.violations.total()
    print(f"{total} violations would move." if total else "No violation would move.")
    if found.undecided:
        print(f"{found.undecided} violations stay where they are: their samples disagree, or say too little.")
    return 0


def _moves(connection: Connection, noise: NoiseFilter) -> Moves:
    return moves(connection, Rejudge(noise, judged_by(connection)))
