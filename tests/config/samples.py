"""For every option of the catalogue a text that is not its default, and the value that it means."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from collector.config.options import Option, OptionType
from collector.config.values import HostPort
from collector.wire.config import ExternalAuth, Link, Upstream

UUID = "6bb1d4c7-9b1e-4b0e-9d3f-1f6a3a0f5e11"

BY_TYPE: dict[OptionType, tuple[str, Any]] = {
    OptionType.STRING: ("as it stands", "as it stands"),
    OptionType.INT: ("4242", 4242),
    OptionType.DURATION: ("4000h", timedelta(hours=4000)),
    OptionType.HOST_PORT: ("[::1]:4242", HostPort("::1", 4242)),
    OptionType.URL: ("https://csp.example/base?x=1", "https://csp.example/base?x=1"),
    OptionType.STRING_ARRAY: ('one,"two, three"', ("one", "two, three")),
    OptionType.REGEXP: ("^team-[a-z]+$", "^team-[a-z]+$"),
    OptionType.BYTES: ("20GB", 20 * 10**9),
    OptionType.PATH: ("/srv/collector", Path("/srv/collector")),
    OptionType.MAP: ('{"prompt": "none", "max": 5}', {"prompt": "none", "max": "5"}),
    OptionType.MAP_OF_LISTS: ('{"admins": ["owner", "auditor"]}', {"admins": ("owner", "auditor")}),
    OptionType.LINKS: (
        '[{"name": "Help", "target": "https://help.example", "icon": "chat"}]',
        (Link(name="Help", target="https://help.example", icon="chat"),),
    ),
    OptionType.EXTERNAL_AUTH: (
        '[{"id": "gh", "type": "github", "client_id": "x", "client_secret": "y", "scopes": ["repo"], "no_refresh": true}]',
        (ExternalAuth(id="gh", type="github", client_id="x", scopes=("repo",), no_refresh=True),),
    ),
    OptionType.UPSTREAMS: (
        '[{"url": "https://coder.example", "token_file": "/run/secrets/coder", "source": "upstream"}]',
        (Upstream(url="https://coder.example", token_file="/run/secrets/coder", source="upstream"),),
    ),
    OptionType.CONFIG_PATH: ("/dev/null", "/dev/null"),
}
BY_FORMAT: dict[str, tuple[str, Any]] = {
    "host:port": ("localhost:4242", HostPort("localhost", 4242)),
    "http-url": ("https://csp.example/base", "https://csp.example/base"),
    "nats-url": ("nats://a.example:4222,tls://b.example", ("nats://a.example:4222", "tls://b.example")),
    "header": ("x-real-ip,x-forwarded-for", ("X-Real-Ip", "X-Forwarded-For")),
    "suffix": ("workspaces", "workspaces"),
    "ssh-option": ("Port=22,ForwardAgent yes", ("Port=22", "ForwardAgent yes")),
    "cidr": ("10.1.2.3/8,fd00::/8", ("10.0.0.0/8", "fd00::/8")),
    "regexp": ("^ab+c,handled$", ("^ab+c", "handled$")),
    "idle-connections": ("5", "5"),
    "uuid": (f'{{"guests": ["{UUID.upper()}"]}}', {"guests": (UUID,)}),
}
BY_NAME: dict[str, tuple[str, Any]] = {
    "Postgres Connection URL": ("postgres://ada@db.example/collector", "postgres://ada@db.example/collector"),
    "Deployment Sources": ('{"d-1": "upstream"}', {"d-1": "upstream"}),
}
# What an option cannot be set without.
BESIDE = {
    "TLS Enable": {"CODER_TLS_CERT_FILE": "a.pem", "CODER_TLS_KEY_FILE": "a.key"},
    "Snapshot Retention": {"COLLECTOR_HISTORY_MINUTES_RETENTION": "9000h"},
    "History Minutes Retention": {"COLLECTOR_HISTORY_HOURS_RETENTION": "9000h"},
    "CSP Minutes Retention": {"COLLECTOR_CSP_HOURS_RETENTION": "9000h"},
}


def sample(option: Option) -> tuple[str, Any]:
    """A text for ``option``, and the value that is read from it."""
    if option.name in BY_NAME:
        return BY_NAME[option.name]
    if option.type is OptionType.BOOL:
        return ("false", False) if option.default == "true" else ("true", True)
    if option.choices:
        choice = next(choice for choice in reversed(option.choices) if choice != option.default)
        return choice, (choice,) if option.type is OptionType.STRING_ARRAY else choice
    return BY_FORMAT.get(option.format) or BY_TYPE[option.type]


_TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=12)
_BY_TYPE: dict[OptionType, st.SearchStrategy[Any]] = {
    OptionType.STRING: _TEXTS,
    OptionType.BOOL: st.booleans(),
    OptionType.INT: st.integers(1, 2**63 - 1),
    OptionType.STRING_ARRAY: st.lists(_TEXTS, max_size=3),
    OptionType.MAP: st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    OptionType.MAP_OF_LISTS: st.dictionaries(_TEXTS, st.lists(_TEXTS, max_size=2), max_size=3),
    OptionType.LINKS: st.lists(st.fixed_dictionaries({}, optional={"name": _TEXTS, "target": _TEXTS}), max_size=2),
    OptionType.EXTERNAL_AUTH: st.lists(
        st.fixed_dictionaries({}, optional={"id": _TEXTS, "scopes": st.lists(_TEXTS), "no_refresh": st.booleans()}), max_size=2
    ),
}


def any_yaml(option: Option) -> st.SearchStrategy[Any]:
    """What may stand for ``option`` in a YAML file: whatever its type takes, else the one sample."""
    if option.choices or option.format or option.type not in _BY_TYPE or option.name in {*BESIDE, *BY_NAME}:
        return st.just(as_yaml(option))
    return _BY_TYPE[option.type]


def as_yaml(option: Option) -> Any:
    """The sample as it stands in a YAML file."""
    text, value = sample(option)
    return list(value) if option.type is OptionType.STRING_ARRAY else text
