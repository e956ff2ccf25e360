"""Projects: a named site or team. The name is part of every fingerprint, so it is never changed."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.engine import Row

from collector.persist.accounts import user_by_name
from collector.persist.engine import insert
from collector.persist.keys import create_key, list_keys, origin
from collector.persist.members import members_of, set_members
from collector.persist.tables import projects
from collector.wire.errors import Conflict, InvalidInput, NotFound, Validation
from collector.wire.identity import KeyKind
from collector.wire.projects import Configuration, ProjectChange

_CONFIGURED = ("retired_at", "allowed_origins", "retention_days", "sample_rate", "ingest_rate")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Project(NamedTuple):
    """A project and what it is configured with. Times in milliseconds since the epoch."""

    id: int
    name: str
    created_at: int
    retired_at: int | None = None
    allowed_origins: tuple[str, ...] | None = None  # of documents, for keys that have none of their own; None: any
    retention_days: int | None = None
    sample_rate: float = 1.0
    ingest_rate: int | None = None


class Outcome(enum.StrEnum):
    """What it took to give a project its configuration."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


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


def project_by_name(connection: Connection, name: str, *, visible: Collection[int] | None = None) -> Project:
    """The project of that name.

    Raises:
        NotFound: when there is none, or it is none of those that are ``visible`` (None: all are).
    """
    known = _NAME.fullmatch(name) and connection.execute(select(projects).where(projects.c.name == name)).first()
    if not known or (visible is not None and known.id not in visible):
        raise NotFound(f"The project {name!r} does not exist.")
    return _project(known)


def ensure_project(connection: Connection, name: str, *, now: int) -> Project:
    """The project of that name, made now if there was none.

    Raises:
        InvalidInput: when there was none and the name is none for a project.
    """
    try:
        return project_by_name(connection, name)
    except NotFound:
        return create_project(connection, name, now=now)


def browser_key(connection: Connection, name: str) -> str:
    """The newest browser key of a project that is not revoked: public, so that it can be shown again.

    Raises:
        NotFound: when there is no such project, or it has none.
    """
    listings = list_keys(connection, project_by_name(connection, name).id)
    live = [listing.public_key for listing in listings if listing.public_key and listing.revoked_at is None]
    if not live:
        raise NotFound(f"The project {name!r} has no browser key.")
    return live[-1]


def ensure_browser_key(connection: Connection, name: str, *, deployment: str, now: int) -> str:
    """The newest browser key of a project, made now, and the project with it, if there was none."""
    try:
        return browser_key(connection, name)
    except NotFound:
        with suppress(Conflict):  # another process has made it in this moment
            ensure_project(connection, name, now=now)
        project = project_by_name(connection, name)
        return create_key(connection, project.id, KeyKind.BROWSER, deployment=deployment, now=now)


def list_projects(connection: Connection) -> list[Project]:
    """Every project, by name."""
    rows = connection.execute(select(projects).order_by(projects.c.name))
    return [_project(row) for row in rows]


def configure(connection: Connection, wanted: Configuration, *, deployment: str, now: int) -> Outcome:
    """Give a project the configuration that is ``wanted``, made with a browser key if it was not there.

    To ask for the same again changes nothing.

    Raises:
        InvalidInput: the name or an origin cannot be used.
        NotFound: a member does not exist.
    """
    try:
        before, outcome = project_by_name(connection, wanted.name), Outcome.UNCHANGED
    except NotFound:
        before, outcome = create_project(connection, wanted.name, now=now), Outcome.CREATED
        create_key(connection, before.id, KeyKind.BROWSER, deployment=deployment, now=now)
    retired_at = (before.retired_at or now) if wanted.retired else None
    origins = None if wanted.allowed_origins is None else tuple(sorted({origin(text) for text in wanted.allowed_origins}))
    after = before._replace(
        retired_at=retired_at,
        allowed_origins=origins,
        retention_days=wanted.retention_days,
        sample_rate=wanted.sample_rate,
        ingest_rate=wanted.ingest_rate,
    )
    values = after._asdict() | {"allowed_origins": None if origins is None else msgspec.json.encode(origins).decode()}
    connection.execute(update(projects).where(projects.c.id == after.id).values({name: values[name] for name in _CONFIGURED}))
    others = wanted.members is not None and _set_members(connection, after.id, wanted.members)
    return Outcome.CHANGED if outcome is Outcome.UNCHANGED and (after != before or others) else outcome


def create_configured(connection: Connection, wanted: Configuration, *, deployment: str, now: int) -> None:
    """Make a project with a browser key, configured as is ``wanted``.

    Raises:
        InvalidInput, NotFound: as :func:`configure` says.
        Conflict: when the name is taken.
    """
    if configure(connection, wanted, deployment=deployment, now=now) is not Outcome.CREATED:
        raise Conflict(f'The project "{wanted.name}" exists already.')  # which rolls back what was changed


def change(connection: Connection, name: str, changes: ProjectChange, *, deployment: str, now: int) -> None:
    """Change what is given of a project.

    Raises:
        InvalidInput: an origin cannot be used.
        NotFound: the project or a member does not exist.
    """
    given = {key: value for key, value in msgspec.structs.asdict(changes).items() if value is not msgspec.UNSET}
    wanted = msgspec.structs.replace(configuration(connection, name), **given)
    configure(connection, wanted, deployment=deployment, now=now)


def configuration(connection: Connection, name: str) -> Configuration:
    """What a project is configured with.

    Raises:
        NotFound: there is no such project.
    """
    known = project_by_name(connection, name)
    return Configuration(
        name=name,
        allowed_origins=None if known.allowed_origins is None else list(known.allowed_origins),
        retention_days=known.retention_days,
        sample_rate=known.sample_rate,
        ingest_rate=known.ingest_rate,
        retired=known.retired_at is not None,
    )


def _set_members(connection: Connection, project_id: int, names: Sequence[str]) -> bool:
    """Set the members of a project; whether they were others."""
    users = [user_by_name(connection, name) for name in names]
    if sorted({user.username for user in users}) == members_of(connection, project_id):
        return False
    set_members(connection, project_id, [user.id for user in users])
    return True


def _project(row: Row[tuple[object, ...]]) -> Project:
    origins = None if row.allowed_origins is None else msgspec.json.decode(row.allowed_origins, type=tuple[str, ...])
    return Project(
        row.id, row.name, row.created_at, row.retired_at, origins, row.retention_days, row.sample_rate, row.ingest_rate
    )
