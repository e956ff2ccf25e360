"""What is stored about a user, and its removal. Functions of a connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from sqlalchemy import Connection, delete, select, union, update
from sqlalchemy.sql.dml import UpdateBase

from collector.persist import aibridge_totals
from collector.persist.aibridge_tables import (
    aibridge_interceptions,
    aibridge_model_thoughts,
    aibridge_prompts,
    aibridge_tool_usages,
)
from collector.persist.aibridge_tables import aibridge_totals as totals
from collector.persist.engine import insert
from collector.persist.secure_delete import overwritten
from collector.persist.shown import forget_metrics
from collector.persist.tables import agents, workspaces
from collector.persist.telemetry_tables import agent_tokens, erased_users, inventory
from collector.wire.inventory import InventoryKind

# What is there when prompts are stored.
TEXTS = ((aibridge_prompts, "prompt"), (aibridge_tool_usages, "input"), (aibridge_model_thoughts, "content"))


def erased(connection: Connection) -> frozenset[str]:
    """The marks of all users whose data was erased."""
    return frozenset(connection.scalars(select(erased_users.c.mark)))


def remember_erased(connection: Connection, marks: Collection[str], *, now: int) -> None:
    """Recognize the user with these marks from now on."""
    new = insert(connection.dialect.name, erased_users).on_conflict_do_nothing()
    connection.execute(new, [{"mark": mark, "erased_at": now} for mark in marks])


def erase(connection: Connection, ids: frozenset[str], *, nobody: str) -> int:
    """Remove what is stored about a user known by any of ``ids``; how many rows that changed.

    Its own states in the inventory, its agents' tokens and the texts of its interceptions are deleted. Its workspaces, its
    agents' numbers and what its interceptions used stay, and are ``nobody``'s. What it typed as a name for a workspace
    stays too: the id is all that says whose it is.
    """
    with overwritten(connection):
        aibridge_totals.take_turn(connection)
        changed = sum(connection.execute(statement).rowcount for statement in _erasing(ids, nobody))
        forget_metrics(connection)
        return changed + aibridge_totals.hand_over(connection, ids, nobody=nobody)


def _erasing(ids: frozenset[str], nobody: str) -> Iterator[UpdateBase]:
    about = inventory.c.user_id.in_(ids)
    itself = (inventory.c.kind == InventoryKind.USER.value) & inventory.c.id.in_(ids)
    yield delete(inventory).where(itself)
    yield update(inventory).where(about).values(user_id=None)
    yield update(workspaces).where(workspaces.c.owner_id.in_(ids)).values(owner_id=nobody)
    yield update(agents).where(agents.c.user_id.in_(ids)).values(user_id=nobody, username=None)
    yield delete(agent_tokens).where(agent_tokens.c.user_id.in_(ids))
    initiated = aibridge_interceptions.c.initiator_id.in_(ids)
    its = select(aibridge_interceptions.c.id).where(initiated)
    for table, text in TEXTS:
        of_it = table.c.interception.in_(its) & table.c[text].is_not(None)
        yield update(table).where(of_it).values({text: None})
    yield update(aibridge_interceptions).where(initiated).values(initiator_id=nobody, api_key_id="")


def erase_marked(connection: Connection, *, mark: Callable[[str], str], marks: frozenset[str], nobody: str) -> int:
    """Remove what came in about erased users before the service knew that they are; how many rows that changed."""
    columns = (
        *(inventory.c.user_id, workspaces.c.owner_id, agents.c.user_id, agent_tokens.c.user_id),
        *(aibridge_interceptions.c.initiator_id, totals.c.initiator_id),
    )
    stored = connection.scalars(union(*(select(column) for column in columns)))
    ids = frozenset(user_id for user_id in stored if user_id is not None and mark(user_id) in marks)
    return erase(connection, ids, nobody=nobody) if ids else 0
