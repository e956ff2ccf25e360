"""The file of noise rules that COLLECTOR_CSP_NOISE_RULES names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from collector.normalize.noise import RULES, Rule
from collector.normalize.noise_rules import effective_rules
from collector.wire.errors import InvalidOption

LARGEST_FILE = 1 << 20  # bytes


class _Loader(yaml.SafeLoader):
    """YAML as data alone, in which no key stands twice and nothing is repeated by reference."""

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if not isinstance(key, str) or key in keys[:place]:
                problem = f"the key {key!r} stands there twice" if isinstance(key, str) else f"{key!r} is no key"
                raise yaml.constructor.ConstructorError(None, None, problem, node.value[place][0].start_mark)
        return super().construct_mapping(node, deep=deep)


def noise_rules(path: str) -> tuple[Rule, ...]:
    """The rules in effect: the shipped ones as the file at ``path`` changes them; "" is no file.

    Raises:
        InvalidOption: the file cannot be read or is no YAML, or names the rule and the key that cannot be used.
    """
    if not path:
        return RULES
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "no such file"
        raise InvalidOption(f"Noise rules {path!r}: cannot be read: {reason}") from None
    if len(content) > LARGEST_FILE:
        raise InvalidOption(f"Noise rules {path!r}: larger than {LARGEST_FILE} bytes")
    return effective_rules(_document(content, path), place=f"Noise rules {path!r}")


def _document(content: bytes, path: str) -> Any:
    try:
        return yaml.load(content, _Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidOption(f"Noise rules {path!r}: {line}{error.problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise InvalidOption(f"Noise rules {path!r}: not YAML") from None
