"""Every option, declared once, as data (``catalogue/*.toml``); flags, environment, YAML, answers and docs derive from it."""

from __future__ import annotations

import enum
import tomllib
from pathlib import Path
from typing import Any

import msgspec

# One file for each group at the root, and one for the options without a group, in the order of --help.
CATALOGUE = (
    "collector",
    "networking",
    "introspection",
    "general",
    "client",
    "dangerous",
    "retention",
    "config",
    "aibridge",
    "aibridgeproxy",
    "telemetry",
    "oauth2",
    "oidc",
    "email",
    "notifications",
    "provisioning",
    "prebuilds",
    "quiethours",
)


class OptionType(enum.StrEnum):
    """What kind of value an option takes; ``values.py`` reads each of them from text."""

    STRING = "string"
    BOOL = "bool"
    INT = "int"
    DURATION = "duration"
    HOST_PORT = "host:port"
    URL = "url"
    STRING_ARRAY = "string-array"
    ENUM = "enum"
    REGEXP = "regexp"
    BYTES = "bytes"
    PATH = "path"
    MAP = "map"  # text to text
    MAP_OF_LISTS = "map-of-lists"  # text to texts
    LINKS = "links"
    EXTERNAL_AUTH = "external-auth"
    UPSTREAMS = "upstreams"
    CONFIG_PATH = "yaml-config-path"  # read before all others, as it says where more of them stand


STRUCTURED = (OptionType.MAP, OptionType.MAP_OF_LISTS, OptionType.LINKS, OptionType.EXTERNAL_AUTH, OptionType.UPSTREAMS)


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A heading in help and a mapping in YAML; without ``yaml`` it is a heading only."""

    name: str = ""
    yaml: str = ""
    description: str = ""


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One option. All values here are text, as a person would write them; "" means there is none."""

    name: str
    description: str  # begins with a capital and ends with a full stop
    type: OptionType
    env: str = ""
    numbered_env: tuple[str, ...] = ()  # what NAME_0_ID, NAME_0_TYPE, … begin with, each number one element
    flag: str = ""  # without the dashes
    shorthand: str = ""  # the one-letter flag
    yaml: str = ""  # the leaf key, below the keys of the groups
    groups: tuple[Group, ...] = ()  # root to leaf
    default: str = ""
    format: str = ""  # a narrower reading than the type's, of each element of a list: a key of ``values.FORMATS``
    choices: tuple[str, ...] = ()  # the only values, of each element of a list, in any case of letters
    minimum: str = ""
    path: str = ""  # where the value stands in the answer of /deployment/config; options with one path share their value
    annotations: tuple[str, ...] = ()  # for clients of that answer, beside those that follow from type and secret
    secret: bool = False  # its value is never shown, neither in help nor in errors nor in answers
    hidden: bool = False
    off_when_empty: bool = False  # an empty text is a value; from the environment it cannot be had
    use_instead: tuple[str, ...] = ()  # names of the options that replace it
    setting: str = ""  # the attribute of Settings that it fills; "": it drives nothing

    @property
    def yaml_path(self) -> str:
        """The keys from the root of the YAML file, joined by dots; "" when the option cannot stand there."""
        return ".".join(key for key in (*(group.yaml for group in self.groups), self.yaml) if key) if self.yaml else ""

    @property
    def label(self) -> str:
        """What messages call it: the environment variable, else the flag, else the name."""
        return self.env or (f"--{self.flag}" if self.flag else self.name)

    @property
    def acts(self) -> bool:
        """Whether the option changes what this service does; one that does not is read, checked and shown only."""
        return bool(self.setting) or self.type is OptionType.CONFIG_PATH

    @property
    def holds_secrets(self) -> bool:
        """Whether a text of its value must not be repeated: it is a secret, or a structure with one inside."""
        return self.secret or self.type in (OptionType.EXTERNAL_AUTH, OptionType.UPSTREAMS)


def read_catalogue(text: str) -> tuple[Option, ...]:
    """The options declared in ``text`` (TOML), in its order.

    Raises:
        msgspec.ValidationError: an option has an unknown key, lacks one, or has one of a wrong type.
        KeyError: an option stands in an undeclared group.
    """
    data = tomllib.loads(text)
    return tuple(msgspec.convert(_with_groups(entry, data.get("groups", {})), Option) for entry in data["options"])


def _with_groups(entry: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """Replace the path ``"Outer > Inner"`` under ``group`` by the groups themselves."""
    names = entry.pop("group").split(" > ") if "group" in entry else []
    paths = [" > ".join(names[: depth + 1]) for depth in range(len(names))]
    return entry | {"groups": [{"name": name} | declared[path] for name, path in zip(names, paths, strict=True)]}


def _read_all() -> tuple[Option, ...]:
    directory = Path(__file__).with_name("catalogue")
    texts = [(directory / f"{name}.toml").read_text(encoding="utf-8") for name in CATALOGUE]
    return tuple(option for text in texts for option in read_catalogue(text))


OPTIONS = _read_all()
