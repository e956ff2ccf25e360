"""Projects: a named site or team. The name is part of every fingerprint, so it is never changed."""

from __future__ import annotations

import re
from typing import NamedTuple

from sqlalchemy import Connection, select

from collector.persist.engine import insert
from collector.persist.tables import projects
from collector.wire.errors import Conflict, InvalidInput, NotFound, Validation

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Project(NamedTuple):
    """A project and the time it was made, in milliseconds since the epoch."""

    id: int
    name: str
    created_at: int


def create_project(connection: Connection, name: str, *, now: int) -> Project:
    """Make a project.

    Raises:
        InvalidInput: when the name is not 1 to 64 of a-z, 0-9, dot, dash and underscore, a letter or digit first.
        Conflict: when the name is taken.
    """
    if not _NAME.fullmatch(name):
        problem = "must be 1 to 64 of a-z, 0-9, dot, dash and underscore, a letter or digit first"
        raise InvalidInput(f"The project name {name!r} cannot be used: it {problem}.", "", (Validation("name", problem),))
    new = insert(connection.dialect.name, projects).values(name=name, created_at=now)
    made = connection.execute(new.on_conflict_do_nothing().returning(projects.c.id)).first()
    if made is None:
        raise Conflict(f'The project "{name}" exists already.')
    return Project(made.id, name, now)


def project_by_name(connection: Connection, name: str) -> Project:
    """The project of that name.

    Raises:
        NotFound: when there is none.
    """
    known = _NAME.fullmatch(name) and connection.execute(select(projects).where(projects.c.name == name)).first()
    if not known:
        raise NotFound(f"The project {name!r} does not exist.")
    return Project(known.id, known.name, known.created_at)


def ensure_project(connection: Connection, name: str, *, now: int) -> Project:
    """The project of that name, made now if there was none.

    Raises:
        InvalidInput: when there was none and the name is none for a project.
    """
    try:
        return project_by_name(connection, name)
    except NotFound:
        return create_project(connection, name, now=now)


def list_projects(connection: Connection) -> list[Project]:
    """Every project, by name."""
    rows = connection.execute(select(projects).order_by(projects.c.name))
    return [Project(row.id, row.name, row.created_at) for row in rows]
