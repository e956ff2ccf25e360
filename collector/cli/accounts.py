"""``collector user`` and ``collector token``."""

from __future__ import annotations

import argparse
from datetime import timedelta

from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of, shown_time
from collector.config.flags import add_flags
from collector.config.values import duration_text, read_duration
from collector.normalize.tokens import token_name
from collector.persist.accounts import (
    TokenListing,
    create_token,
    create_user,
    list_tokens,
    list_users,
    revoke_token,
    user_by_name,
)
from collector.wire.clock import wall_clock
from collector.wire.errors import InvalidInput
from collector.wire.identity import Role, Scope

MS = timedelta(milliseconds=1)


def add(commands: Subcommands) -> None:
    """Declare both commands."""
    user = commands.add_parser("user", help="manage users").add_subparsers(required=True, metavar="COMMAND")
    create = user.add_parser("create", help="create a user")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", required=True, choices=[role.value for role in Role], help="what the user may do")
    add_flags(create, STORE_OPTIONS)
    create.set_defaults(run=create_user_command)

    users = user.add_parser("list", help="list all users")
    add_flags(users, STORE_OPTIONS)
    users.set_defaults(run=list_users_command)

    token = commands.add_parser("token", help="manage tokens").add_subparsers(required=True, metavar="COMMAND")
    issue = token.add_parser("create", help="create a token and print it, once")
    issue.add_argument("--user", required=True, metavar="NAME", help="whose token it is")
    issue.add_argument("--name", default="", metavar="NAME", help="what to call it in lists")
    issue.add_argument("--lifetime", metavar="DURATION", help="for how long it works [default $CODER_DEFAULT_TOKEN_LIFETIME]")
    issue.add_argument(
        "--scope",
        action="append",
        default=[],
        choices=[scope.value for scope in Scope],
        help="let it open this alone; may be repeated; without one it opens all that the role of the user opens",
    )
    issue.add_argument("--quiet", action="store_true", help="print the token alone")
    add_flags(issue, STORE_OPTIONS)
    issue.set_defaults(run=create_token_command)

    shown = token.add_parser("list", help="list the tokens of a user, the ended ones too, without their secrets")
    shown.add_argument("--user", required=True, metavar="NAME", help="whose tokens they are")
    add_flags(shown, STORE_OPTIONS)
    shown.set_defaults(run=list_tokens_command)

    revoke = token.add_parser("revoke", help="end a token: within 5 seconds it opens nothing any more")
    revoke.add_argument("id", metavar="ID", help="what stands before the dash")
    add_flags(revoke, STORE_OPTIONS)
    revoke.set_defaults(run=revoke_token_command)


def create_user_command(args: argparse.Namespace) -> int:
    """Create a user; the next command is to give it a token."""
    user = in_transaction(settings_of(args), lambda c: create_user(c, args.name, Role(args.role), now=wall_clock()))
    print(f"Created {user.role} {user.username}. Give it a token: collector token create --user {user.username}")
    return 0


def list_users_command(args: argparse.Namespace) -> int:
    """One line a user, by name: its role and its id."""
    for user in in_transaction(settings_of(args), list_users):
        print(f"{user.username}  {user.role}  {user.id}")
    return 0


def create_token_command(args: argparse.Namespace) -> int:
    """Create a token; only its hash is kept. The limits of its lifetime are those of the API."""
    settings, name = settings_of(args), token_name(args.name)
    asked = None if args.lifetime is None else _lifetime(args.lifetime)

    def create(connection: Connection) -> tuple[str, timedelta]:
        user, now = user_by_name(connection, args.user), wall_clock()
        lifetime = settings.lifetimes.granted(asked, user.role)
        scopes = [Scope(text) for text in args.scope]
        made = create_token(connection, user.id, lifetime_ms=lifetime // MS, now=now, name=name, scopes=scopes)
        return made, lifetime

    token, lifetime = in_transaction(settings, create)
    print(token if args.quiet else f"Token of {args.user}, good for {duration_text(lifetime)}, shown this once:\n{token}")
    return 0


def list_tokens_command(args: argparse.Namespace) -> int:
    """One line a token, oldest first: its id, its name, its times and its scopes."""
    for token in in_transaction(settings_of(args), lambda c: list_tokens(c, user_by_name(c, args.user).id)):
        print(_line(token))
    return 0


def revoke_token_command(args: argparse.Namespace) -> int:
    """End a token; to revoke it again changes nothing."""
    in_transaction(settings_of(args), lambda c: revoke_token(c, args.id, now=wall_clock()))
    print(f"Revoked the token {args.id}.")
    return 0


def _line(token: TokenListing) -> str:
    times = {"created": token.created_at, "expires": token.expires_at, "used": token.last_used_at, "revoked": token.revoked_at}
    scopes = [f"opens {', '.join(sorted(token.scopes))} alone"] if token.scopes is not None else []
    named = [token.name] if token.name else []
    return "  ".join([token.id, *named, *(f"{what} {shown_time(at)}" for what, at in times.items() if at is not None), *scopes])


def _lifetime(text: str) -> timedelta:
    try:
        lifetime = read_duration(text)
    except ValueError as error:
        raise InvalidInput(f"--lifetime {text!r} {error}") from error
    if lifetime <= timedelta(0):
        raise InvalidInput(f"--lifetime {text!r} must be longer than nothing")
    return lifetime
