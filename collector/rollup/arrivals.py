"""When something last came in, by kind: what tells an operator that a setting works."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from collector.persist.aibridge_tables import aibridge_interceptions
from collector.persist.tables import agent_stats, workspaces
from collector.persist.tables import violations as stored
from collector.persist.telemetry_tables import telemetry_states


class Arrivals(NamedTuple):
    """The newest arrival of each kind in milliseconds since the epoch, None for what never came or is no longer kept."""

    reports: int | None
    agents: int | None
    workspaces: int | None
    telemetry: int | None
    aibridge: int | None


def arrivals(connection: Connection) -> Arrivals:
    """What came last of each kind; of CSP reports as of the last ranking, some seconds ago.

    One look into an index each; workspaces and deployments have none, and are few.
    """
    newest_interception = select(aibridge_interceptions.c.received_at).order_by(aibridge_interceptions.c.id.desc()).limit(1)
    return Arrivals(
        reports=connection.scalar(select(func.max(stored.c.ranked_seen))),
        agents=connection.scalar(select(func.max(agent_stats.c.received_at))),
        workspaces=connection.scalar(select(func.max(workspaces.c.updated_at))),
        telemetry=connection.scalar(select(func.max(telemetry_states.c.message_at))),
        aibridge=connection.scalar(newest_interception),
    )
