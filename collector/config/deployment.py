"""What was loaded, as GET /deployment/config shows it: ``config`` in the page's shapes, ``options`` in the real server's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from collector.config.loading import Loaded, Source, without_userinfo
from collector.config.options import OPTIONS, STRUCTURED, Group, Option, OptionType
from collector.config.values import HostPort
from collector.wire.config import Address, ConfigOption, DeploymentConfig, OptionGroup, Url

# The page shows it, and no option sets it.
WITHOUT_OPTION: Mapping[str, Any] = {"telemetry.trace": False}
LEVELS = 2  # of a group, which the page shows


def deployment_config(loaded: Loaded) -> DeploymentConfig:
    """The answer for what ``loaded`` holds; no secret is in it."""
    tree: dict[str, Any] = {}
    for option in OPTIONS:
        if option.path:
            put(tree, option.path, _config_value(option, loaded.values[option.name]))
    for path, value in WITHOUT_OPTION.items():
        put(tree, path, value)
    tree = dict(sorted(tree.items()))  # as the page lists them
    by_name = {option.name: option for option in OPTIONS}
    return DeploymentConfig(tree, tuple(_option(by_name[name], loaded, by_name) for name in sorted(by_name, key=str.encode)))


def url_parts(text: str) -> Url:
    """``text`` as Go's net/url takes it apart, without userinfo; the raw forms are there only where they say more."""
    if not text:
        return Url()
    scheme, host, path, query, fragment = urlsplit(text)
    rest = text[len(scheme) + 1 :] if scheme else text
    opaque, path = (path, "") if scheme and not rest.startswith("/") else ("", path)
    return Url(
        scheme=scheme,
        opaque=opaque,
        host=host.rpartition("@")[2],
        path=unquote(path),
        raw_path="" if quote(unquote(path), safe="/$&+,:;=@") == path else path,
        omit_host=bool(scheme) and rest.startswith("/") and not rest.startswith("//"),
        force_query=text.partition("#")[0].endswith("?"),
        raw_query=query,
        fragment=unquote(fragment),
        raw_fragment="" if quote(unquote(fragment), safe="/$&+,:;=?@!()*") == fragment else fragment,
    )


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Let ``value`` stand at ``path``, whose keys are joined by dots, in ``tree``."""
    *outer, leaf = path.split(".")
    for key in outer:
        tree = tree.setdefault(key, {})
    tree[leaf] = value


def _config_value(option: Option, value: Any) -> Any:
    if option.secret:
        return [] if option.type is OptionType.STRING_ARRAY else ""
    match option.type:
        case OptionType.URL:
            return url_parts(value)
        case OptionType.HOST_PORT:
            return Address(value.host, str(value.port) if value.port >= 0 else "")
        case OptionType.REGEXP | OptionType.LINKS | OptionType.EXTERNAL_AUTH | OptionType.UPSTREAMS:
            return {"value": _plain(value)}
    return _plain(value)


def _option(option: Option, loaded: Loaded, by_name: Mapping[str, Option]) -> ConfigOption:
    source = loaded.sources[option.name]
    return ConfigOption(
        name=option.name,
        description=option.description,
        flag=option.flag,
        flag_shorthand=option.shorthand,
        env=option.env,
        yaml=option.yaml,
        default=option.default,
        value=None if option.secret else _option_value(option, loaded.values[option.name], source),
        annotations=_annotations(option),
        group=_group(option.groups),
        use_instead=tuple(_option(by_name[name], loaded, by_name) for name in option.use_instead),
        hidden=option.hidden,
        value_source=source,
    )


def _option_value(option: Option, value: Any, source: Source) -> Any:
    if option.type is OptionType.ENUM:
        return {"Choices": option.choices, "Value": value}
    if source is Source.NONE and not value and option.type in (OptionType.STRING_ARRAY, *STRUCTURED):
        return None
    return _plain(value)


def _plain(value: Any) -> Any:
    """As JSON has it: durations are nanoseconds, addresses and paths texts; no URL in it has userinfo."""
    match value:
        case timedelta():
            return value // timedelta(microseconds=1) * 1_000
        case str() | Path() | HostPort():
            return without_userinfo(str(value))
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case msgspec.Struct():
            return _plain(msgspec.structs.asdict(value))
    return value


def _annotations(option: Option) -> dict[str, str]:
    derived = {"format_duration": option.type is OptionType.DURATION, "secret": option.secret}
    return dict.fromkeys((*option.annotations, *(name for name, holds in derived.items() if holds)), "true")


def _group(groups: tuple[Group, ...], levels: int = LEVELS) -> OptionGroup:
    parent: OptionGroup | dict[str, str] = _group(groups[:-1], levels - 1) if groups[:-1] or levels > 1 else {}
    last = groups[-1] if groups else Group()
    return OptionGroup(parent, last.name, last.yaml, last.description)
