"""``collector agent``: workspace agents that report by themselves."""

from __future__ import annotations

import argparse

from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of
from collector.config.flags import add_flags
from collector.persist.agents import create_agent, revoke_agent
from collector.persist.meta import deployment_id
from collector.wire.clock import wall_clock


def add(commands: Subcommands) -> None:
    """Declare the command."""
    agent = commands.add_parser("agent", help="manage workspace agents that report by themselves")
    verbs = agent.add_subparsers(required=True, metavar="COMMAND")
    create = verbs.add_parser("create", help="create an agent and print its token, once")
    for what in ("workspace", "user", "template"):
        create.add_argument(f"--{what}", required=True, metavar="NAME|UUID", help=f"the {what} that its reports are of")
    create.add_argument("--name", required=True, metavar="NAME", help="the agent's own name, usually main")
    create.add_argument("--deployment", metavar="ID", help="the deployment that it belongs to [default: the collector's own]")
    create.add_argument("--quiet", action="store_true", help="print the token alone")
    add_flags(create, STORE_OPTIONS)
    create.set_defaults(run=create_agent_command)
    revoke = verbs.add_parser("revoke", help="end an agent's token: within 5 seconds it opens nothing any more")
    revoke.add_argument("id", metavar="ID", help="the UUID of the agent")
    add_flags(revoke, STORE_OPTIONS)
    revoke.set_defaults(run=revoke_agent_command)


def create_agent_command(args: argparse.Namespace) -> int:
    """Create an agent; its token is shown this once."""

    def create(connection: Connection) -> tuple[str, str]:
        agent, token = create_agent(
            connection,
            deployment=args.deployment or deployment_id(connection),
            workspace=args.workspace,
            user=args.user,
            template=args.template,
            name=args.name,
            now=wall_clock(),
        )
        return agent.agent_id, token

    agent_id, token = in_transaction(settings_of(args), create)
    print(token if args.quiet else f"The token of the agent {agent_id}, shown this once:\n{token}")
    return 0


def revoke_agent_command(args: argparse.Namespace) -> int:
    """End an agent's token; what it has reported stays."""
    in_transaction(settings_of(args), lambda connection: revoke_agent(connection, args.id))
    print(f"Revoked the agent {args.id}.")
    return 0
