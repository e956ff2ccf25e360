"""What GET /deployment/config answers: the effective value of every option, as one tree and as a list, without secrets.

Every member of the API page is always there; what is empty is empty, and never left out.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class Url(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A URL in its parts, as Go takes it apart. ``user`` is always empty: it may hold a password."""

    scheme: str = ""
    opaque: str = ""
    user: dict[str, str] = {}
    host: str = ""
    path: str = ""
    raw_path: str = ""
    omit_host: bool = False
    force_query: bool = False
    raw_query: str = ""
    fragment: str = ""
    raw_fragment: str = ""


class Address(msgspec.Struct, frozen=True):
    """Where to listen."""

    host: str
    port: str


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


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A Coder server that is asked for its stats. Its token is in a file and nowhere else, and so cannot be shown."""

    url: str = ""  # without /api/v2
    token_file: str = ""
    source: str = "auto"  # what the stats of its deployment are made of: auto, reports, upstream or telemetry


class Regexp(msgspec.Struct, frozen=True):
    """A regular expression."""

    value: str


class Links(msgspec.Struct, frozen=True):
    """Links in their order."""

    value: tuple[Link, ...]


class ExternalAuths(msgspec.Struct, frozen=True):
    """Providers of external authentication."""

    value: tuple[ExternalAuth, ...]


# An OptionGroup, or an empty object. msgspec has no schema for a union of the two.
Parent = Annotated[Any, msgspec.Meta(extra_json_schema={"type": "object"})]


class OptionGroup(msgspec.Struct, frozen=True):
    """A heading under which an option stands. The outermost that the page shows has an empty object for a parent."""

    parent: Parent
    name: str = ""
    yaml: str = ""
    description: str = ""


class ConfigOption(msgspec.Struct, frozen=True, kw_only=True):
    """One option. ``value`` has the form of the real server, which the page leaves open; a secret's is null."""

    name: str
    description: str
    required: bool = False  # none is
    flag: str
    flag_shorthand: str
    env: str
    yaml: str  # the leaf key
    default: str  # as a person would write it
    value: Any
    annotations: dict[str, str]
    group: OptionGroup
    use_instead: tuple[ConfigOption, ...]
    hidden: bool
    value_source: str  # flag, env, yaml, default, or empty: not set


# The tree follows the catalogue, and so does its type, which the document of the API takes from there by this name.
CONFIG_TREE = "Config"
ConfigTree = Annotated[dict[str, Any], msgspec.Meta(extra_json_schema={"$ref": f"#/components/schemas/{CONFIG_TREE}"})]


class DeploymentConfig(msgspec.Struct, frozen=True):
    """The whole answer: ``config`` by the paths of the API page, ``options`` sorted by name in the order of bytes."""

    config: ConfigTree
    options: tuple[ConfigOption, ...]
