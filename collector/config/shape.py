"""The type of the ``config`` tree in the answer of /deployment/config, made of the catalogue: clients are generated from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from collector.config.deployment import WITHOUT_OPTION, put
from collector.config.options import OPTIONS, Option, OptionType
from collector.wire.config import CONFIG_TREE, Address, ExternalAuths, Links, Regexp, Url

# What ``config.deployment`` makes of a value of each type.
TYPES: Mapping[OptionType, Any] = {
    OptionType.STRING: str,
    OptionType.BOOL: bool,
    OptionType.INT: int,
    OptionType.DURATION: int,
    OptionType.HOST_PORT: Address,
    OptionType.URL: Url,
    OptionType.STRING_ARRAY: tuple[str, ...],
    OptionType.ENUM: str,
    OptionType.REGEXP: Regexp,
    OptionType.BYTES: int,
    OptionType.PATH: str,
    OptionType.MAP: dict[str, str],
    OptionType.MAP_OF_LISTS: dict[str, tuple[str, ...]],
    OptionType.LINKS: Links,
    OptionType.EXTERNAL_AUTH: ExternalAuths,
    OptionType.CONFIG_PATH: str,
}


def config_type(options: Sequence[Option] = OPTIONS) -> type[msgspec.Struct]:
    """A struct with a member for every path, each with its type and what it is for; all of them are always there."""
    tree: dict[str, Any] = {}
    for option in sorted(options, key=lambda option: not option.use_instead):  # the newer of two names describes the path
        if option.path:
            put(tree, option.path, _described(option))
    for path, value in WITHOUT_OPTION.items():
        put(tree, path, type(value))
    return _struct(CONFIG_TREE, tree)


def _described(option: Option) -> Any:
    unit = " In nanoseconds." if option.type is OptionType.DURATION else ""
    gone = " A secret: always empty." if option.secret else ""
    return Annotated[TYPES[option.type], msgspec.Meta(description=option.description + unit + gone)]


def _struct(name: str, members: Mapping[str, Any]) -> type[msgspec.Struct]:
    fields = [
        (key, _struct(name + key.title().replace("_", ""), kind) if isinstance(kind, dict) else kind)
        for key, kind in sorted(members.items())
    ]
    return msgspec.defstruct(name, fields, frozen=True)
