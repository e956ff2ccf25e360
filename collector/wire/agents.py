"""What POST /api/v2/agents takes and answers."""

from __future__ import annotations

import msgspec


class NewAgent(msgspec.Struct, frozen=True):
    """An agent to be. Workspace, user and template are each an UUID or a name; without a deployment it is our own."""

    workspace: str
    user: str
    template: str
    name: str
    deployment: str | None = None


class NewAgentToken(msgspec.Struct, frozen=True):
    """The agent, and the token that it reports with."""

    id: str  # UUID
    token: str  # UUID, shown this once
    deployment: str
    workspace_id: str
