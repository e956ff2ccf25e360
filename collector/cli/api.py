"""``collector api``: the API's document, and the page that describes it."""

from __future__ import annotations

import argparse
import json

from collector.cli.command import Subcommands
from collector.config.shape import config_type
from collector.entrance import VERSION
from collector.routes import ROUTES
from collector.serve.openapi import document
from collector.serve.reference import reference


def add(commands: Subcommands) -> None:
    """Declare ``openapi`` and ``docs``."""
    api = commands.add_parser("api", help="look at the API").add_subparsers(required=True, metavar="COMMAND")
    api.add_parser("openapi", help="print the OpenAPI document").set_defaults(run=openapi)
    api.add_parser("docs", help="print the page that describes the API").set_defaults(run=docs)


def openapi(_args: argparse.Namespace) -> int:
    """Print what ``/api/v2/openapi.json`` answers, for who has no service running."""
    print(json.dumps(document(ROUTES, VERSION, config_type()), indent=2))
    return 0


def docs(_args: argparse.Namespace) -> int:
    """Print what ``docs/api.md`` holds."""
    print(reference(ROUTES), end="")
    return 0
