"""What GET /deployment/config answers: the effective value of every option, in one tree and as a list, without secrets."""

from __future__ import annotations

from typing import Any

import msgspec


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A link in the dashboard's support menu."""

    name: str = ""
    target: str = ""
    icon: str = ""
    location: str = ""


class ExternalAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A provider of external authentication. Its client secret is nowhere in here, and so cannot be shown."""

    app_install_url: str = ""
    app_installations_url: str = ""
    auth_url: str = ""
    client_id: str = ""
    code_challenge_methods_supported: tuple[str, ...] = ()
    device_code_url: str = ""
    device_flow: bool = False
    display_icon: str = ""
    display_name: str = ""
    id: str = ""
    mcp_tool_allow_regex: str = ""
    mcp_tool_deny_regex: str = ""
    mcp_url: str = ""
    no_refresh: bool = False
    regex: str = ""
    revoke_url: str = ""
    scopes: tuple[str, ...] = ()
    token_url: str = ""
    type: str = ""
    validate_url: str = ""


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A heading under which an option stands, within the headings above it."""

    parent: Group | None = None
    name: str = ""
    yaml: str = ""
    description: str = ""


class Option(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One option; members that say nothing are left out, and ``value`` is left out of secrets alone."""

    name: str
    description: str
    flag: str = ""
    flag_shorthand: str = ""
    env: str = ""
    yaml: str = ""
    default: str = ""
    value: Any | msgspec.UnsetType = msgspec.UNSET
    annotations: dict[str, str] = {}
    group: Group | None = None
    use_instead: tuple[Option, ...] = ()
    hidden: bool = False
    value_source: str = ""


class DeploymentConfig(msgspec.Struct, frozen=True):
    """The whole answer: ``config`` by the paths of the API page, ``options`` sorted by name in the order of bytes."""

    config: dict[str, Any]
    options: tuple[Option, ...]
