"""Which deployments this collector knows of. Functions of a connection."""

from __future__ import annotations

from sqlalchemy import Connection, select, union

from collector.persist.engine import insert
from collector.persist.tables import agents, workspaces
from collector.persist.telemetry_tables import deployments
from collector.wire.trials import TRIAL_ID

MAX_ID = 256


def is_deployment(text: str) -> bool:
    """Whether ``text`` can be the id of a deployment."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


def note_deployment(connection: Connection, deployment: str, *, now: int) -> None:
    """Know ``deployment`` from ``now`` (ms) on, if it is not known."""
    new = insert(connection.dialect.name, deployments).values(id=deployment, first_seen=now)
    connection.execute(new.on_conflict_do_nothing())


def told_of(connection: Connection) -> frozenset[str]:
    """The deployments that telemetry or polling told of."""
    return frozenset(connection.scalars(select(deployments.c.id)))


def reporting(connection: Connection) -> frozenset[str]:
    """The deployments of which a workspace or an agent report is known. A trial is none: it would replace numbers by zeros."""
    of_agents = select(agents.c.deployment).where(agents.c.agent_id != TRIAL_ID)
    return frozenset(connection.scalars(union(of_agents, select(workspaces.c.deployment))))
