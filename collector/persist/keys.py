"""Ingest keys. Functions of a connection: run them through ``Store.transact`` or ``Store.read``.

A key is 32 letters or digits and no dash, so that it is never taken for a token. The first 10 are its id, which may be
logged; of the other 22 only the SHA-256 is stored. A browser key is public and kept readable beside it.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

import idna
import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.engine import Row

from collector.persist.accounts import ID_LENGTH, SECRET_LENGTH, is_id, random_text, secret_hash
from collector.persist.engine import insert
from collector.persist.tables import ingest_keys, projects
from collector.wire.errors import Conflict, InvalidInput, NotFound, Validation
from collector.wire.identity import IngestKey, KeyKind

KEY_LENGTH = ID_LENGTH + SECRET_LENGTH

_KEY = re.compile(rf"[A-Za-z0-9]{{{KEY_LENGTH}}}")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class KeyListing(NamedTuple):
    """A key as an owner sees it. Times in milliseconds since the epoch; ``public_key`` is None for a feed key."""

    key: IngestKey
    public_key: str | None
    created_at: int
    revoked_at: int | None


def is_key(text: str) -> bool:
    """Whether ``text`` has the shape of a key."""
    return _KEY.fullmatch(text) is not None


def create_key(
    connection: Connection,
    project_id: int,
    kind: KeyKind,
    *,
    deployment: str,
    now: int,
    allowed_origins: Collection[str] = (),
    key: str | None = None,
) -> str:
    """Make a key of a project, or take ``key`` as one, and return it. No allowed origins means any.

    Raises:
        InvalidInput: when an origin is none, when a feed key is given origins, or when ``key`` has not the shape of a key.
        NotFound: when the project does not exist.
        Conflict: when a key with the id of ``key`` exists.
    """
    origins = sorted({origin(text) for text in allowed_origins})
    if origins and kind is KeyKind.FEED:
        raise InvalidInput("Only a browser key has allowed origins: what sends with a feed key has no origin.")
    made = key if key is not None else random_text(KEY_LENGTH)
    if not is_key(made):
        raise InvalidInput(f"An ingest key must be {KEY_LENGTH} letters or digits.")
    if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
        raise NotFound(f"The project {project_id} does not exist.")
    new = insert(connection.dialect.name, ingest_keys).values(
        id=made[:ID_LENGTH],
        project_id=project_id,
        deployment=deployment,
        kind=kind.value,
        public_key=made if kind is KeyKind.BROWSER else None,
        secret_hash=secret_hash(made[ID_LENGTH:]),
        allowed_origins=msgspec.json.encode(origins).decode() if origins else None,
        created_at=now,
    )
    if connection.execute(new.on_conflict_do_nothing().returning(ingest_keys.c.id)).first() is None:
        raise Conflict(f'A key with the id "{made[:ID_LENGTH]}" exists already.')
    return made


def find_key(connection: Connection, text: str) -> IngestKey | None:
    """The key that ``text`` is; None when it is none, was revoked, or never was."""
    if not is_key(text):
        return None
    row = connection.execute(_KEYS.where(ingest_keys.c.id == text[:ID_LENGTH], ingest_keys.c.revoked_at.is_(None))).first()
    if row is None or not hmac.compare_digest(row.secret_hash, secret_hash(text[ID_LENGTH:])):
        return None
    return _key(row)


def live_keys(connection: Connection, ids: Collection[str]) -> dict[str, IngestKey]:
    """Those of the keys with these ids that are not revoked, by id."""
    rows = connection.execute(_KEYS.where(ingest_keys.c.id.in_(ids), ingest_keys.c.revoked_at.is_(None)))
    return {row.id: _key(row) for row in rows}


def newest_browser_keys(connection: Connection, limit: int) -> list[tuple[str, IngestKey]]:
    """The ``limit`` browser keys made last, with their texts, those that were revoked left out."""
    live = (ingest_keys.c.revoked_at.is_(None), ingest_keys.c.public_key.is_not(None))
    rows = connection.execute(_KEYS.where(*live).order_by(ingest_keys.c.created_at.desc(), ingest_keys.c.id).limit(limit))
    return [(str(row.public_key), _key(row)) for row in rows]


def list_keys(connection: Connection, project_id: int | None = None) -> list[KeyListing]:
    """Every key, or those of one project, revoked ones included, oldest first."""
    query = _KEYS.order_by(ingest_keys.c.created_at, ingest_keys.c.id)
    if project_id is not None:
        query = query.where(ingest_keys.c.project_id == project_id)
    return [KeyListing(_key(row), row.public_key, row.created_at, row.revoked_at) for row in connection.execute(query)]


def revoke_key(connection: Connection, key_id: str, *, now: int) -> None:
    """End a key; to revoke it again changes nothing.

    Raises:
        NotFound: when there is no such key.
    """
    if not is_id(key_id) or connection.execute(select(ingest_keys.c.id).where(ingest_keys.c.id == key_id)).first() is None:
        raise NotFound(f"The key {key_id!r} does not exist.")
    not_yet = ingest_keys.c.revoked_at.is_(None)
    connection.execute(update(ingest_keys).where(ingest_keys.c.id == key_id, not_yet).values(revoked_at=now))


def origin(text: str) -> str:
    """``text`` as browsers write an origin: scheme://host[:port] in lower case, no default port, the host in ASCII.

    Raises:
        InvalidInput: when it is no origin, or is more than one: a path, a query, a user or a wildcard.
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, _host(parts.hostname or "")
    except (ValueError, idna.IDNAError):
        host, port = "", None
    if not host or not parts.scheme or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        problem = "must read scheme://host or scheme://host:port"
        raise InvalidInput(f"The origin {text!r} cannot be used: it {problem}.", "", (Validation("allowed_origins", problem),))
    given = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{host}{given}"


def _host(name: str) -> str:
    """The host in ASCII, an IPv6 address in brackets; empty when it is no host."""
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    if not name.isascii():
        name = idna.encode(name, uts46=True).decode()
    return name.lower() if _HOST.fullmatch(name.lower()) else ""


_KEYS = select(
    ingest_keys,
    projects.c.name.label("project"),
    projects.c.retired_at,
    projects.c.allowed_origins.label("project_origins"),
    projects.c.sample_rate,
    projects.c.ingest_rate,
).join(projects, projects.c.id == ingest_keys.c.project_id)


def _key(row: Row[tuple[object, ...]]) -> IngestKey:
    return IngestKey(
        id=row.id,
        kind=KeyKind(row.kind),
        project_id=row.project_id,
        project=row.project,
        deployment=row.deployment,
        allowed_origins=_origins(row.allowed_origins or (row.project_origins if row.kind == KeyKind.BROWSER else None)),
        retired=row.retired_at is not None,
        sample_rate=row.sample_rate,
        ingest_rate=row.ingest_rate,
    )


def _origins(stored: str | None) -> frozenset[str] | None:
    return None if stored is None else frozenset(msgspec.json.decode(stored, type=list[str]))
