"""The newest release that the feed named, kept in one row of ``meta``. Functions of a connection."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from collector.persist.engine import insert
from collector.persist.tables import meta
from collector.wire.general import Release

KEY = "update_check"


def kept_release(connection: Connection) -> Release | None:
    """The newest release that was named; None before the first, and when another version stored it in another shape."""
    stored = connection.execute(select(meta.c.value).where(meta.c.key == KEY)).scalar()
    try:
        return None if stored is None else msgspec.json.decode(stored, type=Release)
    except msgspec.MsgspecError:
        return None


def keep_release(connection: Connection, *, release: Release) -> None:
    """Keep ``release`` in place of the one before."""
    new = insert(connection.dialect.name, meta).values(key=KEY, value=msgspec.json.encode(release).decode())
    connection.execute(new.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": new.excluded.value}))
