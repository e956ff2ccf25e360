"""``collector user-data``: what is stored about a user of a Coder deployment."""

from __future__ import annotations

import argparse

from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of
from collector.config.flags import add_flags
from collector.normalize.identity import NOBODY, Identities, UserIdentity
from collector.persist.meta import service_secret
from collector.persist.userdata import erase, remember_erased
from collector.wire.clock import wall_clock


def add(commands: Subcommands) -> None:
    """Declare the command."""
    data = commands.add_parser("user-data", help="manage what is stored about the users of Coder")
    verbs = data.add_subparsers(required=True, metavar="COMMAND")
    removal = verbs.add_parser("erase", help="erase what is stored about a user, and store nothing of it again")
    removal.add_argument("id", metavar="ID", help="the id that Coder knows the user by")
    add_flags(removal, STORE_OPTIONS)
    removal.set_defaults(run=erase_command)


def erase_command(args: argparse.Namespace) -> int:
    """Erase a user's data, by its id and by its pseudonym; to erase it again changes nothing."""

    def work(connection: Connection) -> int:
        identities = Identities(UserIdentity.PLAIN, service_secret(connection))
        spellings = {args.id, args.id.lower()}  # an UUID may be copied in capitals, and Coder writes it small
        ids = frozenset(spellings | {identities.pseudonym(spelling) for spelling in spellings})
        remember_erased(connection, [identities.mark(known_as) for known_as in ids], now=wall_clock())
        return erase(connection, ids, nobody=NOBODY)

    rows = in_transaction(settings_of(args), work)
    print(f"Erased the data of the user {args.id}: {rows} rows. What comes in about it is nobody's from now on.")
    return 0
