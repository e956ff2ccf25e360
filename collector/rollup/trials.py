"""What arrived of the records that try the intakes out."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from collector.persist.tables import agents
from collector.persist.telemetry_tables import telemetry_servers
from collector.wire.trials import TRIAL_ID


class Trial(NamedTuple):
    """The newest record of a kind as it is stored: when it came (ms), and what it says of itself."""

    at: int
    says: dict[str, str]


class Trials(NamedTuple):
    """Of each kind that can be tried; None: never, or no longer."""

    agents: Trial | None
    telemetry: Trial | None


def trials(connection: Connection, deployment: str) -> Trials:
    """The trials that came under ``deployment``. A look at one row each."""
    agent = connection.execute(
        select(agents.c.last_seen, agents.c.agent_name, agents.c.workspace_name, agents.c.username).where(
            agents.c.deployment == deployment, agents.c.agent_id == TRIAL_ID
        )
    ).first()
    columns = telemetry_servers.c
    server = connection.execute(
        select(columns.seen_at, columns.machine_id, columns.version, columns.os_type).where(
            columns.deployment == deployment, columns.machine_id == TRIAL_ID
        )
    ).first()
    return Trials(
        agents=agent and Trial(agent[0], _said(agent=agent[1], workspace=agent[2], user=agent[3])),
        telemetry=server and Trial(server[0], _said(machine=server[1], version=server[2], system=server[3])),
    )


def _said(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
