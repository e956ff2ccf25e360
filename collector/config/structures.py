"""Options that hold more than one text: maps, links, providers of external authentication, and servers to ask.

As text they are YAML, and so also JSON. Every scalar keeps its text, so that ``1.10`` means the same here as elsewhere.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

import msgspec
import yaml

from collector.config.options import Option, OptionType
from collector.wire.config import ExternalAuth, Link, Upstream
from collector.wire.errors import InvalidOption

SHAPES: Mapping[OptionType, Any] = {
    OptionType.MAP: dict[str, str],
    OptionType.MAP_OF_LISTS: dict[str, tuple[str, ...]],
    OptionType.LINKS: tuple[Link, ...],
    OptionType.EXTERNAL_AUTH: tuple[ExternalAuth, ...],
    OptionType.UPSTREAMS: tuple[Upstream, ...],
}
# What one number of variables like CODER_EXTERNAL_AUTH_0_TYPE makes.
ELEMENTS: Mapping[OptionType, type[ExternalAuth | Upstream]] = {
    OptionType.EXTERNAL_AUTH: ExternalAuth,
    OptionType.UPSTREAMS: Upstream,
}
DEEPEST = 4  # levels; a list of providers with lists in them has three
# Nothing here signs anybody in: what a provider would need for it is read past, not kept, and so cannot be shown.
NOT_KEPT = ("client_secret", "extra_token_keys")

_LISTS = {name for name, hint in get_type_hints(ExternalAuth).items() if hint == tuple[str, ...]}
_BOOLS = {name for name, hint in get_type_hints(ExternalAuth).items() if hint is bool}


def read_structure(kind: OptionType, text: str) -> Any:
    """The structure that ``text`` describes; an empty text is an empty one.

    Raises:
        ValueError: it describes none of this kind; the message ends a sentence that begins with the text, and repeats no
            value of it.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise ValueError("is not YAML") from None
    data = None if node is None else _plain(node, 1)
    if data is None:
        data = {} if kind in (OptionType.MAP, OptionType.MAP_OF_LISTS) else []
    if kind is OptionType.EXTERNAL_AUTH and isinstance(data, list):
        data = [_kept(entry) for entry in data]
    try:
        return msgspec.convert(data, SHAPES[kind], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"is not of the form of {kind}: {ascii(str(error))[1:-1]}") from None


def ssh_option(text: str) -> tuple[str, str]:
    """An option of SSH as name and value, parted at the first ``=`` or blank; nothing is trimmed, as in Coder."""
    match = re.fullmatch(r"([^= ]*)[= ](.*)", text, re.DOTALL)
    if match is None:
        raise ValueError("is not an option of SSH like Key=value")
    return match[1], match[2]


def read_ssh_option(text: str) -> str:
    """A text that :func:`ssh_option` can part, as it stands."""
    ssh_option(text)
    return text


def read_uuid(text: str) -> str:
    """A UUID in any of its forms, as the usual one."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("is not a UUID") from None


def numbered(option: Option, env: Mapping[str, str]) -> tuple[ExternalAuth | Upstream, ...]:
    """The elements in variables like ``CODER_EXTERNAL_AUTH_0_TYPE``: one for each number, from 0 without a gap.

    Raises:
        InvalidOption: a number is left out, or a text is no boolean.
    """
    kind = ELEMENTS[option.type]
    return tuple(element for prefix in option.numbered_env for element in _numbered(prefix, kind, env))


def _numbered(prefix: str, kind: type[ExternalAuth | Upstream], env: Mapping[str, str]) -> Iterable[ExternalAuth | Upstream]:
    pattern = re.compile(rf"{prefix}_([0-9]{{1,4}})_([A-Z_]+)", re.ASCII)
    found: dict[int, dict[str, Any]] = {}
    for name, text in env.items():
        match = pattern.fullmatch(name)
        if not match or not text:
            continue
        found.setdefault(int(match[1]), {})[match[2].lower()] = text
    for number, expected in zip(sorted(found), range(len(found)), strict=True):
        if number != expected:
            raise InvalidOption(f"{prefix}_{number}_…: there is no {prefix}_{expected}_…, and the numbers must have no gap")
        members = found[number]
        known = {name: members[name] for name in kind.__struct_fields__ if name in members}
        lists = {name: tuple(known[name].split()) for name in _LISTS & known.keys()}
        try:
            yield msgspec.convert(known | lists, kind, strict=False)
        except msgspec.ValidationError:
            names = ", ".join(f"{prefix}_{number}_{name.upper()}" for name in sorted(_BOOLS & known.keys()))
            raise InvalidOption(f"{names}: the value from environment is neither true nor false") from None


def _plain(node: yaml.Node, depth: int) -> Any:
    """The node as lists, dicts and texts; what is null is left out."""
    if depth > DEEPEST:
        raise ValueError("is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, depth + 1) for item in node.value]
    if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        raise ValueError("has a key that is no text")
    plain = [(str(key.value), _plain(value, depth + 1)) for key, value in node.value]
    if len(dict(plain)) < len(plain):
        raise ValueError("has a key twice")
    return {key: value for key, value in plain if value is not None}


def _kept(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key not in NOT_KEPT} if isinstance(entry, dict) else entry
