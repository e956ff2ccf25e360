"""``collector project``: the sites and teams whose data comes in, one by one or all of them from a file."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
import yaml
from sqlalchemy import Connection

from collector.cli.command import STORE_OPTIONS, Subcommands, in_transaction, settings_of, shown_time
from collector.config.flags import add_flags
from collector.persist.meta import deployment_id
from collector.persist.projects import change, configure, create_configured
from collector.rollup.projects import projects
from collector.wire.clock import wall_clock
from collector.wire.errors import InvalidInput
from collector.wire.projects import Configuration, Configurations, Project, ProjectChange

EXAMPLE = "projects: [{name: shop, allowed_origins: [https://shop.example], retention_days: 90, sample_rate: 0.5}]"


def add(commands: Subcommands) -> None:
    """Declare the command."""
    project = commands.add_parser("project", help="manage projects").add_subparsers(required=True, metavar="COMMAND")
    shown = project.add_parser("list", help="list all projects: whether reports come in, and what is open")
    add_flags(shown, STORE_OPTIONS)
    shown.set_defaults(run=list_command)

    create = project.add_parser("create", help="create a project with a browser key, and print the key")
    create.add_argument("name", metavar="NAME")
    create.add_argument(
        "--allowed-origin",
        action="append",
        metavar="ORIGIN",
        help="take reports about documents of this origin only; may be repeated",
    )
    add_flags(create, STORE_OPTIONS)
    create.set_defaults(run=create_command)

    retire = project.add_parser("retire", help="answer whoever sends to a project with 410; browsers then stop")
    retire.add_argument("name", metavar="NAME")
    add_flags(retire, STORE_OPTIONS)
    retire.set_defaults(run=retire_command)

    apply = project.add_parser("apply", help="give projects the configuration of a file; again changes nothing")
    apply.add_argument("file", metavar="FILE", help=f"YAML, for example: {EXAMPLE}")
    add_flags(apply, STORE_OPTIONS)
    apply.set_defaults(run=apply_command)


def list_command(args: argparse.Namespace) -> int:
    """One line a project."""
    for project in in_transaction(settings_of(args), lambda c: projects(c, now=wall_clock())):
        print(_line(project))
    return 0


def create_command(args: argparse.Namespace) -> int:
    """Create a project; its browser key is public and printed."""
    wanted = Configuration(name=args.name, allowed_origins=args.allowed_origin)

    def create(connection: Connection) -> Project:
        create_configured(connection, wanted, deployment=deployment_id(connection), now=wall_clock())
        return _named(connection, args.name)

    made = in_transaction(settings_of(args), create)
    print(f"Created the project {made.name}. Its browser key: {made.browser_keys[0]}")
    return 0


def retire_command(args: argparse.Namespace) -> int:
    """Retire a project; what it has stays readable until its retention ends."""
    changes = ProjectChange(retired=True)
    settings = settings_of(args)
    in_transaction(settings, lambda c: change(c, args.name, changes, deployment=deployment_id(c), now=wall_clock()))
    print(f"Retired the project {args.name}: within 5 seconds its keys are answered with 410.")
    return 0


def apply_command(args: argparse.Namespace) -> int:
    """One line a project of the file: what became of it. All of them or, when one cannot be used, none."""
    wanted = _read(args.file)

    def apply(connection: Connection) -> list[str]:
        deployment, now = deployment_id(connection), wall_clock()
        return [f"{configure(connection, each, deployment=deployment, now=now)} {each.name}" for each in wanted]

    for line in in_transaction(settings_of(args), apply):
        print(line)
    return 0


def _read(file: str) -> list[Configuration]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        wanted = msgspec.convert(content, Configurations).projects
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput(f"{file}: {error}") from error
    names = [each.name for each in wanted]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"{file}: {', '.join(twice)} is there more than once")
    return wanted


def _named(connection: Connection, name: str) -> Project:
    return next(project for project in projects(connection, now=wall_clock()) if project.name == name)


def _line(project: Project) -> str:
    readiness = project.readiness
    facts = [
        project.name,
        "retired" if project.retired_at else str(project.endpoint),
        f"{readiness.open_violations} open",
        f"observed {readiness.days_observed} days",
        "ready to enforce" if readiness.ready else "not ready",
    ]
    if project.last_report_at is not None:
        facts.append(f"last report {shown_time(round(project.last_report_at.timestamp() * 1_000))}")
    return "  ".join(facts + project.browser_keys)
