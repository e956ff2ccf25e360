"""The YAML file of options: nested groups, each value as the text that stands there, every key known."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from collector.config.options import STRUCTURED, Option, OptionType
from collector.wire.errors import InvalidOption

LARGEST_FILE = 1 << 20  # bytes; the whole catalogue with all descriptions is a tenth of it
LONGEST_SHOWN_KEY = 100


class YamlValue(NamedTuple):
    """What the file says of one option: one text, which is YAML for a structure, or the elements of a list."""

    place: str  # "line 3 of /etc/collector.yaml"
    text: str | tuple[str, ...]


def read_yaml(path: str, options: Sequence[Option]) -> dict[str, YamlValue]:
    """The values in the file at ``path``, by option name. A key without a value says nothing.

    Scalars keep the text as written, so that ``1.10``, ``yes`` and ``30s`` mean the same here as in the environment.

    Raises:
        InvalidOption: the file cannot be read, is no YAML, holds an unknown or repeated key, or a group where an option
            should be (or the reverse). The message never holds a value.
    """
    root = _compose(path, read_text(path, "CODER_CONFIG_PATH"))
    known = {tuple(option.yaml_path.split(".")): option for option in options if option.yaml}
    values: dict[str, YamlValue] = {}
    if root is not None:
        for option, node in _walk(path, root, (), known):
            values[option.name] = YamlValue(_place(path, node), _text(path, node, option))
    return values


def read_text(path: str, option: str) -> str:
    """The text of the file that ``option`` names.

    Raises:
        InvalidOption: the file cannot be read, is larger than a megabyte, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "no such file"
        raise InvalidOption(f"{option}: cannot read {path!r}: {reason}") from None
    if len(content) > LARGEST_FILE:
        raise InvalidOption(f"{option}: {path!r} is larger than {LARGEST_FILE} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidOption(f"{option}: {path!r} is not UTF-8 at byte {error.start}") from None


def _compose(path: str, text: str) -> yaml.Node | None:
    """The nodes of the one document, with the text and the line of every scalar."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # The exception quotes the line, its problem a word of it: either may be a secret, so neither is shown in full.
        line = f"line {error.problem_mark.line + 1} of " if error.problem_mark else ""
        problem = str(error.problem).partition("'")[0].strip()
        raise InvalidOption(f"CODER_CONFIG_PATH: {line}{path!r} is not YAML: {problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        # ValueError and OverflowError: "\UFFFFFFFF" is no character. RecursionError: thousands of open brackets.
        raise InvalidOption(f"CODER_CONFIG_PATH: {path!r} is not YAML") from None


def _walk(
    path: str, node: yaml.Node, above: tuple[str, ...], known: dict[tuple[str, ...], Option]
) -> Iterator[tuple[Option, yaml.Node]]:
    """Every option below ``node`` that has a value."""
    if not isinstance(node, yaml.MappingNode):
        raise InvalidOption(f"{_place(path, node)}: {_name(above) or 'the document'} must be a mapping of options")
    seen = set()
    for key, value in node.value:
        here = (*above, key.value if isinstance(key, yaml.ScalarNode) else "?")
        if here in seen:
            raise InvalidOption(f"{_place(path, key)}: {_name(here)} stands there twice")
        seen.add(here)
        if here not in known and not any(option[: len(here)] == here for option in known):
            nearest = _name(_nearest(here, known))
            raise InvalidOption(f"{_place(path, key)}: unknown option {_name(here)}, the nearest is {nearest}")
        if _is_null(value):
            continue
        if here in known:
            yield known[here], value
        else:
            yield from _walk(path, value, here, known)


def _text(path: str, node: yaml.Node, option: Option) -> str | tuple[str, ...]:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if option.type in STRUCTURED:
        return str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True))
    if option.type is not OptionType.STRING_ARRAY:
        raise InvalidOption(f"{_place(path, node)}: {option.yaml_path} takes one {option.type}")
    if not isinstance(node, yaml.SequenceNode) or not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise InvalidOption(f"{_place(path, node)}: {option.yaml_path} takes a list of texts")
    return tuple(str(item.value) for item in node.value)


def _nearest(wrong: tuple[str, ...], known: dict[tuple[str, ...], Option]) -> tuple[str, ...]:
    """The known option most like ``wrong``: one of the same name in another group, else the closest spelling."""
    for path in known:
        if path[-1].casefold() == wrong[-1].casefold():
            return path
    by_text = {".".join(path): path for path in known}
    return by_text[difflib.get_close_matches(".".join(wrong)[:LONGEST_SHOWN_KEY], by_text, n=1, cutoff=0)[0]]


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _name(path: tuple[str, ...]) -> str:
    return repr(".".join(path)[:LONGEST_SHOWN_KEY]) if path else ""


def _place(path: str, node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1} of {path!r}"
