"""Sessions of the pages: what a cookie carries in place of the token that somebody signed in with.

A session reads ``ID-SECRET`` like a token and is stored like one. It opens what its token opens, for as long as both are
good, so that a cookie that was stolen is worth little for long and a token that is revoked takes its sessions with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from collector.persist.accounts import (
    ID_LENGTH,
    SECRET_LENGTH,
    StoredToken,
    find_token,
    random_text,
    secret_hash,
)
from collector.persist.tables import sessions

SLIDE_EVERY_MS = 3_600_000  # so that reading does not become writing


class Presented(NamedTuple):
    """What an id stands for: a token, or a session with its own hash and the earlier end of both in place of the token's."""

    token: StoredToken
    token_id: str  # of the token itself
    session_ends: int | None  # milliseconds since the epoch; None: it is no session


def create_session(connection: Connection, token_id: str, *, lifetime_ms: int, now: int) -> str:
    """Begin a session of a stored token and return what its cookie carries: it cannot be read again."""
    session_id, secret = random_text(ID_LENGTH), random_text(SECRET_LENGTH)
    row = {"id": session_id, "token_id": token_id, "secret_hash": secret_hash(secret), "expires_at": now + lifetime_ms}
    connection.execute(insert(sessions), row)
    return f"{session_id}-{secret}"


def find_presented(connection: Connection, presented_id: str) -> Presented | None:
    """The token or session with that id, expired ones included; None when it was revoked, ended or never was."""
    token = find_token(connection, presented_id)
    if token is not None:
        return Presented(token, presented_id, None)
    row = connection.execute(select(sessions).where(sessions.c.id == presented_id)).first()
    token = None if row is None else find_token(connection, row.token_id)
    if row is None or token is None:
        return None
    own = token._replace(secret_hash=row.secret_hash, expires_at=min(row.expires_at, token.expires_at))
    return Presented(own, row.token_id, row.expires_at)


def slide_sessions(connection: Connection, session_ids: Collection[str], *, lifetime_ms: int, now: int) -> None:
    """Let sessions that were used last ``lifetime_ms`` from now, those left out whose end was moved within the hour."""
    ends = sessions.c.expires_at
    due = (ends > now) & (ends <= now + lifetime_ms - SLIDE_EVERY_MS)
    connection.execute(update(sessions).where(sessions.c.id.in_(session_ids), due).values(expires_at=now + lifetime_ms))


def end_session(connection: Connection, session: str) -> None:
    """End the session that reads so; one that has ended or never was is no matter."""
    session_id, _, secret = session.partition("-")
    connection.execute(delete(sessions).where(sessions.c.id == session_id, sessions.c.secret_hash == secret_hash(secret)))
