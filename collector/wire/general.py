"""What the operations about the service itself answer: the root, the build, the check for updates."""

from __future__ import annotations

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One field of a request that was refused, and why."""

    field: str
    detail: str


class Greeting(msgspec.Struct, frozen=True):
    """The root's answer: a refusal's three keys, all of them present, although nothing is refused."""

    message: str
    detail: str = ""
    validations: tuple[FieldError, ...] = ()


class BuildInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What runs here. Every key is always present: a client of Coder refuses an answer without a version or a URL."""

    external_url: str  # where this build is documented
    version: str  # semantic, with a leading "v"
    dashboard_url: str  # where people reach the service
    telemetry: bool = False  # the service reports to nobody
    workspace_proxy: bool = False
    agent_api_version: str = "1.0"  # of Coder's workspace agents, as its clients expect it
    provisioner_api_version: str = "1.14"
    upgrade_message: str = ""
    deployment_id: str  # UUID
    webpush_public_key: str = ""  # there is no web push


class Release(msgspec.Struct, frozen=True):
    """The newest release that the feed named."""

    version: str
    url: str
    checked_at: int  # ms since the epoch


class UpdateCheck(msgspec.Struct, frozen=True):
    """Whether this build is at least as new as ``version``; without a check it is, and version and url are its own."""

    current: bool
    version: str
    url: str
