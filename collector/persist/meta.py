"""What the service knows of itself: what it makes once (its id, its secret, the first user, project and keys), and backups."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from collector.persist.accounts import create_token, create_user, user_by_name
from collector.persist.engine import insert
from collector.persist.keys import create_key
from collector.persist.projects import ensure_browser_key, ensure_project, project_by_name
from collector.persist.tables import meta
from collector.wire.errors import NotFound
from collector.wire.identity import KeyKind, Role

ADMIN = "admin"
DEFAULT_PROJECT = "default"
LAST_BACKUP = "last_backup"
OWN_PROJECT = "self"  # of this service's own pages
# Ten years: a deployment may keep this token in a file of its own, where no one would look for the day that it ends.
FIRST_TOKEN_LIFETIME_MS = 10 * 365 * 24 * 3_600_000


@dataclass(frozen=True)
class FirstSecrets:
    """What a first start made, in clear, for the only time. None of it shows in a log line by accident."""

    token: str = field(repr=False)  # of the user admin; "" when it was given, since whoever gave it has it
    browser_key: str = field(repr=False)  # of the project default, like the next
    feed_key: str = field(repr=False)


def first_start(
    connection: Connection,
    *,
    now: int,
    admin_token: Callable[[], str | None],
    keep: Callable[[FirstSecrets], None] | None = None,
) -> FirstSecrets | None:
    """Make what a new service needs, in this one transaction; None when that was done before.

    What ``admin_token`` returns becomes the token of ``admin`` in place of a random one; white space around it does not
    count. It is called on a first start only, so that its file may be gone later. A user ``admin`` or a project ``default``
    that is there already is taken as it is.

    ``keep`` is given the secrets before they are committed, since afterwards nobody could make them again: what it raises
    undoes the first start.

    Raises:
        InvalidInput: when that token does not read ``ID-SECRET``.
    """
    # The row is the lock: on PostgreSQL a second process waits here until the first has committed, on SQLite it
    # waits for its transaction to begin. Either way it then finds the row.
    if not _claim(connection, "first_start", str(now)):
        return None
    given = admin_token()
    deployment = deployment_id(connection)
    service_secret(connection)
    try:
        admin = user_by_name(connection, ADMIN)
    except NotFound:
        admin = create_user(connection, ADMIN, Role.OWNER, now=now)
    project = ensure_project(connection, DEFAULT_PROJECT, now=now)
    token = create_token(
        connection,
        admin.id,
        lifetime_ms=FIRST_TOKEN_LIFETIME_MS,
        now=now,
        token=given.strip() if given is not None else None,
    )
    made = FirstSecrets(
        token=token if given is None else "",
        browser_key=create_key(connection, project.id, KeyKind.BROWSER, deployment=deployment, now=now),
        feed_key=create_key(connection, project.id, KeyKind.FEED, deployment=deployment, now=now),
    )
    if keep is not None:
        keep(made)
    return made


def own_browser_key(connection: Connection, *, now: int) -> str | None:
    """The browser key under which this service's own pages report, made by the first call with the project ``self``.

    None when the project was retired: an owner who does that wants no such reports.
    """
    key = ensure_browser_key(connection, OWN_PROJECT, deployment=deployment_id(connection), now=now)
    return key if project_by_name(connection, OWN_PROJECT).retired_at is None else None


def deployment_id(connection: Connection) -> str:
    """The UUID of this service, made by the first call: it needs a connection that may write until then."""
    return _made_once(connection, "deployment_id", str(uuid.uuid4()))


def service_secret(connection: Connection) -> bytes:
    """32 bytes that only the processes of this service know, made by the first call like :func:`deployment_id`."""
    return bytes.fromhex(_made_once(connection, "service_secret", secrets.token_hex(32)))


def note_backup(connection: Connection, at: int) -> None:
    """Note that a backup of the store as it was ``at`` (ms) has succeeded."""
    noted = insert(connection.dialect.name, meta).values(key=LAST_BACKUP, value=str(at))
    connection.execute(noted.on_conflict_do_update(index_elements=["key"], set_={"value": noted.excluded.value}))


def last_backup(connection: Connection) -> int | None:
    """Of when the newest backup is that was noted (ms); None without one."""
    value = connection.scalar(select(meta.c.value).where(meta.c.key == LAST_BACKUP))
    return None if value is None else int(value)


def _made_once(connection: Connection, key: str, value: str) -> str:
    stored = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    if stored is not None:
        return str(stored)
    if _claim(connection, key, value):
        return value
    return str(connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one())


def _claim(connection: Connection, key: str, value: str) -> bool:
    """Set ``key`` unless it has a value; whether it was set. Waits for another transaction that is setting it."""
    new = insert(connection.dialect.name, meta).values(key=key, value=value)
    return connection.execute(new.on_conflict_do_nothing().returning(meta.c.key)).first() is not None
