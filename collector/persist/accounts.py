"""Users and their tokens. Functions of a connection: run them through ``Store.transact`` or ``Store.read``.

A token reads ``ID-SECRET``: 10 and 22 letters or digits and one dash. Only the SHA-256 of the secret is stored. That is
enough: 22 characters from ``secrets`` carry 131 bits, so there is nothing that a slow hash would have to protect.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import uuid
from collections.abc import Collection
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, func, or_, select, true, update
from sqlalchemy.engine import Row

from collector.persist.engine import insert
from collector.persist.tables import tokens, users
from collector.wire.errors import Conflict, InvalidInput, NotFound, Validation
from collector.wire.identity import Role, Scope, User

ID_LENGTH, SECRET_LENGTH = 10, 22
ALPHABET = string.ascii_letters + string.digits
TOKENS_PER_USER = 10_000  # ended ones until retention takes them: what anybody could fill the store with, 2 MB
TOUCH_EVERY_MS = 3_600_000  # last_used_at is an hour exact, so that reading does not become writing

_USERNAME = re.compile(r"(?!.{33})(?!me$)[a-z0-9]+(-[a-z0-9]+)*")  # "me" is the caller in /users/{user}
_USER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANY_UUID = re.compile(r"(?:urn:uuid:)?[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}")
_ID = re.compile(rf"[A-Za-z0-9]{{{ID_LENGTH}}}")
_TOKEN = re.compile(rf"[A-Za-z0-9]{{{ID_LENGTH}}}-[A-Za-z0-9]{{{SECRET_LENGTH}}}")


class StoredToken(NamedTuple):
    """A token as the store knows it. Times in milliseconds since the epoch; a revoked token is never one of these."""

    user: User  # with the token's scopes
    secret_hash: bytes
    expires_at: int
    last_used_at: int | None


class TokenListing(NamedTuple):
    """A token as its owner sees it, without its secret. Times in milliseconds since the epoch; ``last_used_at`` to the hour."""

    id: str
    user_id: str
    name: str
    scopes: frozenset[Scope] | None  # None: all that the role of the user opens
    created_at: int
    expires_at: int
    last_used_at: int | None
    revoked_at: int | None


def random_text(length: int) -> str:
    """``length`` letters and digits that nobody can guess."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def secret_hash(secret: str) -> bytes:
    """What is stored in place of a secret of at least 22 random characters."""
    return hashlib.sha256(secret.encode()).digest()


def is_id(text: str) -> bool:
    """Whether ``text`` has the shape of a token's or a key's id; whatever else it is never reaches the database."""
    return _ID.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether ``text`` has the shape of a token."""
    return _TOKEN.fullmatch(text) is not None


def create_user(connection: Connection, username: str, role: Role, *, now: int) -> User:
    """Make a user; the name is taken in lower case.

    Raises:
        InvalidInput: when the name is not 1 to 32 letters, digits and single dashes within, or is "me".
        Conflict: when the name is taken.
    """
    name = username.lower()
    if not _USERNAME.fullmatch(name):
        problem = 'must be 1 to 32 letters, digits and single dashes between them, and not "me"'
        raise InvalidInput(f"The user name {username!r} cannot be used: it {problem}.", "", (Validation("username", problem),))
    user = User(id=str(uuid.uuid4()), username=name, role=role)
    new = insert(connection.dialect.name, users).values(id=user.id, username=name, role=role.value, created_at=now)
    if connection.execute(new.on_conflict_do_nothing().returning(users.c.id)).first() is None:
        raise Conflict(f'The user "{name}" exists already.')
    return user


def user_by_name(connection: Connection, username: str) -> User:
    """The user of that name, in whatever case.

    Raises:
        NotFound: when there is none.
    """
    if not _USERNAME.fullmatch(username.lower()):
        raise NotFound(f"The user {username!r} does not exist.")
    return _one_user(connection, username, users.c.username == username.lower())


def user_by_id(connection: Connection, user_id: str) -> User:
    """The user with that id.

    Raises:
        NotFound: when there is none.
    """
    if not _USER_ID.fullmatch(user_id):
        raise NotFound(f"The user {user_id!r} does not exist.")
    return _one_user(connection, user_id, users.c.id == user_id)


def user_asked_for(connection: Connection, text: str) -> User:
    """The user whom ``text`` names: by id, in any spelling of a UUID, or else by name, in whatever case.

    Raises:
        NotFound: when there is none.
    """
    if _ANY_UUID.fullmatch(text.lower()):
        return user_by_id(connection, str(uuid.UUID(text.lower())))
    return user_by_name(connection, text)


def list_users(connection: Connection) -> list[User]:
    """Every user, by name."""
    return [_user(row) for row in connection.execute(select(users).order_by(users.c.username))]


def create_token(
    connection: Connection,
    user_id: str,
    *,
    lifetime_ms: int,
    now: int,
    name: str = "",
    scopes: Collection[Scope] = (),
    token: str | None = None,
) -> str:
    """Make a token of a user, or take ``token`` as one, and return it: it cannot be read again.

    No scopes: it opens all that the role of the user opens.

    Raises:
        InvalidInput: when the lifetime is not positive, or ``token`` does not read ``ID-SECRET``.
        NotFound: when the user does not exist.
        Conflict: when a token with the id of ``token`` exists, or the user has ``TOKENS_PER_USER``.
    """
    if lifetime_ms <= 0:
        raise InvalidInput("The lifetime of a token must be longer than nothing.")
    made = token if token is not None else f"{random_text(ID_LENGTH)}-{random_text(SECRET_LENGTH)}"
    if not is_token(made):
        raise InvalidInput(f"A token must read ID-SECRET: {ID_LENGTH} and {SECRET_LENGTH} letters or digits, and one dash.")
    user_by_id(connection, user_id)
    of_user = select(func.count()).select_from(tokens).where(tokens.c.user_id == user_id)
    if connection.execute(of_user).scalar_one() >= TOKENS_PER_USER:
        raise Conflict(f"The user has {TOKENS_PER_USER:,} tokens, ended ones among them, until retention takes those.")
    token_id, _, secret = made.partition("-")
    new = insert(connection.dialect.name, tokens).values(
        id=token_id,
        user_id=user_id,
        secret_hash=secret_hash(secret),
        created_at=now,
        expires_at=now + lifetime_ms,
        name=name,
        scopes=msgspec.json.encode(sorted(scopes)).decode() if scopes else None,
    )
    if connection.execute(new.on_conflict_do_nothing().returning(tokens.c.id)).first() is None:
        raise Conflict(f'A token with the id "{token_id}" exists already.')
    return made


def find_token(connection: Connection, token_id: str) -> StoredToken | None:
    """The token with that id, expired ones included; None when it was revoked or never was."""
    row = connection.execute(
        select(tokens.c.secret_hash, tokens.c.expires_at, tokens.c.last_used_at, tokens.c.scopes, users)
        .join(users, users.c.id == tokens.c.user_id)
        .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    ).first()
    if row is None:
        return None
    user = msgspec.structs.replace(_user(row), scopes=_scopes(row.scopes))
    return StoredToken(user, row.secret_hash, row.expires_at, row.last_used_at)


def list_tokens(connection: Connection, user_id: str) -> list[TokenListing]:
    """Every token of a user, expired and revoked ones included, oldest first."""
    columns = [tokens.c[name] for name in TokenListing._fields]
    of_user = select(*columns).where(tokens.c.user_id == user_id).order_by(tokens.c.created_at, tokens.c.id)
    rows = connection.execute(of_user).mappings()
    return [TokenListing(**{**row, "scopes": _scopes(row["scopes"])}) for row in rows]


def revoke_token(connection: Connection, token_id: str, *, now: int, user_id: str | None = None) -> None:
    """End a token before its time; to revoke it again changes nothing. With ``user_id`` it has to be one of that user.

    Raises:
        NotFound: when there is no such token.
    """
    of_user = tokens.c.user_id == user_id if user_id is not None else true()
    known = select(tokens.c.id).where(tokens.c.id == token_id, of_user)
    if not is_id(token_id) or connection.execute(known).first() is None:
        raise NotFound(f"The token {token_id!r} does not exist.")
    connection.execute(update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None)).values(revoked_at=now))


def touch_tokens(connection: Connection, token_ids: Collection[str], *, now: int) -> None:
    """Note that the tokens were used, those left out that were noted within the hour."""
    due = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= now - TOUCH_EVERY_MS)
    connection.execute(update(tokens).where(tokens.c.id.in_(token_ids), due).values(last_used_at=now))


def _one_user(connection: Connection, asked: str, condition: ColumnElement[bool]) -> User:
    row = connection.execute(select(users).where(condition)).first()
    if row is None:
        raise NotFound(f"The user {asked!r} does not exist.")
    return _user(row)


def _user(row: Row[tuple[object, ...]]) -> User:
    return User(id=row.id, username=row.username, role=Role(row.role))


def _scopes(stored: str | None) -> frozenset[Scope] | None:
    """Scopes as they are stored. One that this version does not know opens nothing."""
    if stored is None:
        return None
    return frozenset(Scope(text) for text in msgspec.json.decode(stored, type=list[str]) if text in tuple(Scope))
