"""``collector key``: what data comes in with."""

from __future__ import annotations

import argparse

from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of, shown_time
from collector.config.flags import add_flags
from collector.persist.deployments import is_deployment
from collector.persist.keys import create_key, list_keys, revoke_key
from collector.persist.meta import deployment_id
from collector.persist.projects import ensure_project
from collector.wire.clock import wall_clock
from collector.wire.errors import InvalidInput
from collector.wire.identity import KeyKind


def add(commands: Subcommands) -> None:
    """Declare the command."""
    key = commands.add_parser("key", help="manage ingest keys").add_subparsers(required=True, metavar="COMMAND")
    create = key.add_parser("create", help="create an ingest key, and its project when there is none of that name")
    create.add_argument("--project", required=True, metavar="NAME", help="the site or team whose data comes in with it")
    create.add_argument(
        "--kind",
        required=True,
        choices=[kind.value for kind in KeyKind],
        help="browser: public, opens CSP intake alone; feed: secret, opens all other intake",
    )
    create.add_argument(
        "--allowed-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="take reports about documents of this origin only; may be repeated (browser keys)",
    )
    create.add_argument(
        "--deployment",
        metavar="ID",
        help="take data of this deployment only (feed keys) [default: rows are of the collector's own, telemetry of any]",
    )
    create.add_argument("--quiet", action="store_true", help="print the key alone")
    add_flags(create, STORE_OPTIONS)
    create.set_defaults(run=create_key_command)

    shown = key.add_parser("list", help="list all keys, the revoked ones too, without their secrets")
    add_flags(shown, STORE_OPTIONS)
    shown.set_defaults(run=list_keys_command)

    revoke = key.add_parser("revoke", help="end a key: within 5 seconds nothing comes in with it any more")
    revoke.add_argument("id", metavar="ID", help="the first 10 characters of the key")
    add_flags(revoke, STORE_OPTIONS)
    revoke.set_defaults(run=revoke_key_command)


def create_key_command(args: argparse.Namespace) -> int:
    """Create a key. A feed key is shown this once; a browser key is public and shown again on the page."""
    kind = KeyKind(args.kind)
    if args.allowed_origin and kind is KeyKind.FEED:
        raise InvalidInput("--allowed-origin goes with --kind browser")

    if args.deployment is not None and (kind is not KeyKind.FEED or not is_deployment(args.deployment)):
        raise InvalidInput("--deployment goes with --kind feed, and is 1 to 256 printable characters")

    def create(connection: Connection) -> str:
        now = wall_clock()
        project = ensure_project(connection, args.project, now=now)
        deployment = args.deployment or deployment_id(connection)
        return create_key(connection, project.id, kind, deployment=deployment, now=now, allowed_origins=args.allowed_origin)

    key = in_transaction(settings_of(args), create)
    again = "" if kind is KeyKind.BROWSER else ", shown this once"
    print(key if args.quiet else f"The {kind} key of project {args.project}{again}:\n{key}")
    return 0


def list_keys_command(args: argparse.Namespace) -> int:
    """One line a key, oldest first: its id, kind and project, and its times."""
    for listing in in_transaction(settings_of(args), list_keys):
        key = listing.key
        end = f"revoked {shown_time(listing.revoked_at)}" if listing.revoked_at is not None else ""
        print(f"{key.id}  {key.kind:7}  {key.project}  created {shown_time(listing.created_at)}  {end}".rstrip())
    return 0


def revoke_key_command(args: argparse.Namespace) -> int:
    """End a key; to revoke it again changes nothing."""
    in_transaction(settings_of(args), lambda c: revoke_key(c, args.id, now=wall_clock()))
    print(f"Revoked the key {args.id}.")
    return 0
