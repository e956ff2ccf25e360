"""What is stored about a user, and its removal. Functions of a connection."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import Connection, delete, select, union, update

from collector.persist.engine import insert
from collector.persist.tables import agents, workspaces
from collector.persist.telemetry_tables import agent_tokens, erased_users, inventory
from collector.wire.inventory import InventoryKind


def erased(connection: Connection) -> frozenset[str]:
    """The marks of all users whose data was erased."""
    return frozenset(connection.scalars(select(erased_users.c.mark)))


def remember_erased(connection: Connection, marks: Collection[str], *, now: int) -> None:
    """Recognize the user with these marks from now on."""
    new = insert(connection.dialect.name, erased_users).on_conflict_do_nothing()
    connection.execute(new, [{"mark": mark, "erased_at": now} for mark in marks])


def erase(connection: Connection, ids: frozenset[str], *, nobody: str) -> int:
    """Remove what is stored about a user known by any of ``ids``; how many rows that changed.

    Its own states in the inventory and its agents' tokens are deleted. Its workspaces and its agents' numbers stay, and are
    ``nobody``'s. What it typed as a name for a workspace stays too: the id is all that says whose it is.
    """
    about = inventory.c.user_id.in_(ids)
    itself = (inventory.c.kind == InventoryKind.USER.value) & inventory.c.id.in_(ids)
    statements = (
        delete(inventory).where(itself),
        update(inventory).where(about).values(user_id=None),
        update(workspaces).where(workspaces.c.owner_id.in_(ids)).values(owner_id=nobody),
        update(agents).where(agents.c.user_id.in_(ids)).values(user_id=nobody, username=None),
        delete(agent_tokens).where(agent_tokens.c.user_id.in_(ids)),
    )
    if connection.dialect.name != "sqlite":
        return sum(connection.execute(statement).rowcount for statement in statements)
    # SQLite otherwise leaves what was deleted in the file, for whoever looks at its bytes.
    connection.exec_driver_sql("PRAGMA secure_delete = ON")
    try:
        return sum(connection.execute(statement).rowcount for statement in statements)
    finally:
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")


def erase_marked(connection: Connection, *, mark: Callable[[str], str], marks: frozenset[str], nobody: str) -> int:
    """Remove what came in about erased users before the service knew that they are; how many rows that changed."""
    columns = (inventory.c.user_id, workspaces.c.owner_id, agents.c.user_id, agent_tokens.c.user_id)
    stored = connection.scalars(union(*(select(column) for column in columns)))
    ids = frozenset(user_id for user_id in stored if user_id is not None and mark(user_id) in marks)
    return erase(connection, ids, nobody=nobody) if ids else 0
