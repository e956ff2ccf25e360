"""Workspace agents that report by themselves. Functions of a connection.

A token is an UUID, like Coder's; only its SHA-256 is stored. It has 122 random bits, so no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import re
import uuid

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from collector.persist.telemetry_tables import agent_tokens
from collector.wire.errors import Conflict, InvalidInput, NotFound, Validation
from collector.wire.identity import Agent

MAX_NAME = 256
MAX_AGENTS = 100_000

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COLUMNS = tuple(agent_tokens.c[name] for name in Agent.__struct_fields__)


def token_hash(token: str) -> bytes:
    """What of ``token`` is stored."""
    return hashlib.sha256(token.lower().encode()).digest()


def create_agent(
    connection: Connection, *, deployment: str, workspace: str, user: str, template: str, name: str, now: int
) -> tuple[Agent, str]:
    """Make an agent, and return it with its token, which is not shown again.

    Workspace, user and template are each an UUID, or a name: that of one name is always the same id.

    Raises:
        InvalidInput: one of them is empty, too long, or holds a control character.
        Conflict: there are as many agents as can be had.
    """
    for field, text in (("workspace", workspace), ("user", user), ("template", template), ("name", name)):
        if not 0 < len(text) <= MAX_NAME or not text.isprintable():
            raise InvalidInput("The agent cannot be made.", "", (Validation(field, "must be 1 to 256 printable characters"),))
    if connection.execute(select(func.count()).select_from(agent_tokens)).scalar_one() >= MAX_AGENTS:
        raise Conflict(f"There are {MAX_AGENTS:,} agents already.")
    workspace_id, workspace_name = _identified(deployment, "workspace", workspace)
    user_id, username = _identified(deployment, "user", user)
    template_id, template_name = _identified(deployment, "template", template)
    agent = Agent(
        agent_id=str(uuid.uuid4()),
        deployment=deployment,
        workspace_id=workspace_id,
        user_id=user_id,
        template_id=template_id,
        agent_name=name,
        workspace_name=workspace_name,
        username=username,
        template_name=template_name,
    )
    token = str(uuid.uuid4())
    row = {**msgspec.structs.asdict(agent), "token_hash": token_hash(token), "created_at": now}
    connection.execute(insert(agent_tokens).values(row))
    return agent, token


def find_agent(connection: Connection, hashed: bytes) -> Agent | None:
    """The agent whose token hashes to ``hashed``; None when there is none."""
    row = connection.execute(select(*_COLUMNS).where(agent_tokens.c.token_hash == hashed)).first()
    return None if row is None else Agent(*row)


def revoke_agent(connection: Connection, agent_id: str) -> None:
    """End an agent's token; what it has reported stays.

    Raises:
        NotFound: when there is no such agent.
    """
    if connection.execute(delete(agent_tokens).where(agent_tokens.c.agent_id == agent_id)).rowcount == 0:
        raise NotFound(f"The agent {agent_id!r} does not exist.")


def _identified(deployment: str, kind: str, text: str) -> tuple[str, str | None]:
    """The id and the name that ``text`` stands for: as an UUID it has no name."""
    if _UUID.fullmatch(text.lower()):
        return text.lower(), None
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{deployment}/{kind}/{text}")), text
