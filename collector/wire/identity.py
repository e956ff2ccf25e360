"""Who is calling: users with their role, ingest keys with their project, and agents. No secret is ever part of these."""

from __future__ import annotations

import enum

import msgspec


class Role(enum.StrEnum):
    """What a user may do. owner: everything; auditor: read everything; member: only what concerns itself."""

    OWNER = "owner"
    AUDITOR = "auditor"
    MEMBER = "member"


class Scope(enum.StrEnum):
    """What a token may be narrowed to: one read each, whatever else the role of its user would open."""

    DEPLOYMENT_STATS = "deployment_stats:read"
    DEPLOYMENT_CONFIG = "deployment_config:read"
    CSP_VIOLATION = "csp_violation:read"
    AIBRIDGE = "aibridge_interception:read"
    METRICS = "metrics:read"


class KeyKind(enum.StrEnum):
    """browser: public, stands in every visitor's response headers, opens CSP intake alone. feed: secret, all other intake."""

    BROWSER = "browser"
    FEED = "feed"


class User(msgspec.Struct, frozen=True):
    """A person or a machine that signs in with a token."""

    id: str  # UUID
    username: str
    role: Role
    scopes: frozenset[Scope] | None = None  # of the token it signed in with; None: all that the role opens


class IngestKey(msgspec.Struct, frozen=True):
    """A key that data comes in with; it belongs to one project and one deployment."""

    id: str  # the first 10 characters of the key, which may be logged
    kind: KeyKind
    project_id: int
    project: str
    deployment: str
    allowed_origins: frozenset[str] | None = None  # document origins, the project's unless it has its own; None: any
    retired: bool = False  # the project is: nothing comes in any more
    sample_rate: float = 1.0  # the share of the project's CSP reports that is kept
    ingest_rate: int | None = None  # CSP reports a minute that the project may bring with all its keys; None: no limit


class Agent(msgspec.Struct, frozen=True):
    """A workspace agent that reports by itself, and whose reports its are. Names are None when unknown."""

    agent_id: str  # UUID
    deployment: str
    workspace_id: str
    user_id: str
    template_id: str
    agent_name: str | None = None
    workspace_name: str | None = None
    username: str | None = None
    template_name: str | None = None


Caller = User | IngestKey | Agent
