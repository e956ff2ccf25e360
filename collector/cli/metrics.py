"""``collector metrics``: the page that describes them."""

from __future__ import annotations

import argparse

import prometheus_client

import collector.app  # noqa: F401 — the page names every instrument of the service, which stand at the top of its modules
from collector.cli.command import Subcommands
from collector.serve.metrics_reference import reference


def add(commands: Subcommands) -> None:
    """Declare ``docs``."""
    metrics = commands.add_parser("metrics", help="look at the metrics").add_subparsers(required=True, metavar="COMMAND")
    metrics.add_parser("docs", help="print the page that describes the metrics").set_defaults(run=docs)


def docs(_args: argparse.Namespace) -> int:
    """Print what ``docs/metrics.md`` holds."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    print(reference(), end="")
    return 0
