"""Values back to text: the YAML that loads to the same values, and the lines of ``collector config show``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import yaml

from collector.config.loading import Loaded, Source, without_userinfo
from collector.config.options import OPTIONS, Option
from collector.config.values import HostPort, duration_text

MASK = "********"
YAML_HEAD = "# Every option that can stand in a file. Secrets are left out: they come from flags and the environment alone."


def text(value: Any) -> str:
    """The text that is read as ``value``, which is not a list or a structure."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return duration_text(value) if isinstance(value, timedelta) else str(value)


def yaml_text(loaded: Loaded) -> str:
    """A YAML file with the value of every option that has one; it loads back to the same values.

    What a provider of external authentication has as a secret is not in the values, and so not in the file.
    """
    tree: dict[str, Any] = {}
    for option in OPTIONS:
        value = loaded.values[option.name]
        if not option.yaml or option.secret or (loaded.sources[option.name] is Source.NONE and not value):
            continue
        node = tree
        *outer, leaf = option.yaml_path.split(".")
        for key in outer:
            node = node.setdefault(key, {})
        node[leaf] = (option, value)
    return "\n".join([YAML_HEAD, *_yaml_lines(tree, "")]) + "\n"


def shown_lines(loaded: Loaded) -> Iterator[str]:
    """One line an option: what it is called, where its value comes from, and the value; secrets are masked."""
    width = max(len(option.label) for option in OPTIONS)
    for option in OPTIONS:
        source = loaded.sources[option.name]
        shown = _shown(option, loaded.values[option.name], source)
        yield f"{option.label:<{width}}  {source or '-':<7}  {'' if option.acts else '(no effect here) '}{shown}".rstrip()


def _shown(option: Option, value: Any, source: Source) -> str:
    if option.secret:
        return "" if source is Source.NONE else MASK
    shown = without_userinfo(_flow(value) if _is_compound(value) else text(value))
    return shown if shown.isprintable() else ascii(shown)[1:-1]


def _yaml_lines(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, entry in tree.items():
        if isinstance(entry, dict):
            yield f"{indent}{key}:"
            yield from _yaml_lines(entry, f"{indent}  ")
            continue
        option, value = entry
        yield f"{indent}# {option.description}"
        yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if _is_compound(value):
        return _flow(value)
    return text(value) if isinstance(value, bool | int | timedelta) else _quoted(text(value))


def _is_compound(value: Any) -> bool:
    return isinstance(value, tuple | Mapping) and not isinstance(value, HostPort)


def _quoted(value: Any) -> str:
    """``value``, whose scalars are texts, as YAML in one line; whatever is in a text, it stays that text."""
    return yaml.dump(
        value,
        Dumper=yaml.SafeDumper,
        default_style='"',
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=float("inf"),
    ).rstrip("\n")


def _flow(value: Any) -> str:
    """A list or a structure in one line; of a provider or link only what it has."""
    return _quoted(_texts(value))


def _texts(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {key: _texts(item) for key, item in msgspec.structs.asdict(value).items() if item}
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    return [_texts(item) for item in value] if isinstance(value, tuple) else text(value)
