"""Flag > environment > YAML > default: from texts to checked :class:`Settings`, with the source of every option."""

from __future__ import annotations

import argparse
import difflib
import enum
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from collector.config import settings as settings_module
from collector.config import values
from collector.config.options import OPTIONS, Option, OptionType
from collector.config.settings import Settings
from collector.config.structures import numbered
from collector.config.yamlfile import YamlValue, read_yaml
from collector.wire.errors import InvalidOption

OWN_PREFIX = "COLLECTOR_"
LONGEST_SHOWN_VALUE = 100
# What Coder's server makes of it too: one switch outranks the number, and both answer for it.
NO_LIMITS, API_LIMIT = "Disable All Rate Limits", "API Rate Limit"
OLD_ADDRESS, HTTP_ADDRESS, TLS_ADDRESS, TLS = "Address", "HTTP Address", "TLS Address", "TLS Enable"
_USERINFO = re.compile(r"(?<=://)[^\s/?#]*@")


class Source(enum.StrEnum):
    """Where an option's value came from, the highest first; NONE: it is not set and has no default."""

    FLAG = "flag"
    ENV = "env"
    YAML = "yaml"
    DEFAULT = "default"
    NONE = ""


RANK = {source: rank for rank, source in enumerate(Source)}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, the value of every option by name, where each came from, and what an operator should be told."""

    settings: Settings
    values: Mapping[str, Any] = field(repr=False)  # secrets among them
    sources: Mapping[str, Source]
    warnings: tuple[str, ...]  # one line each

    def source(self, option_name: str) -> Source:
        """Where the option with this name (``"HTTP Address"``) got its value; KeyError if there is no such option."""
        return self.sources[option_name]


class _Given(NamedTuple):
    """What was said of an option by the highest source that spoke."""

    source: Source
    place: str  # for messages: "flag --verbose"
    texts: tuple[str, ...]  # of a list: CSV records in order, of anything else: the last one counts
    elements: tuple[str, ...] | None = None  # of a list that is one already


def load(
    argv_values: argparse.Namespace | Mapping[str, list[str]], env: Mapping[str, str], options: Sequence[Option] = OPTIONS
) -> Loaded:
    """Read every option.

    Args:
        argv_values: what a parser with ``add_flags`` returned, or texts by flag name (``{"http-address": [":80"]}``).
        env: the environment; an empty variable is one that is not set.
        options: the catalogue.

    Raises:
        InvalidOption: a value cannot be read, or two do not fit together. The message is one line; it names the option,
            the source and the value, but never the value of a secret.
    """
    argv = vars(argv_values) if isinstance(argv_values, argparse.Namespace) else argv_values
    file = _yaml_values(argv, env, options)
    given = {option.name: _given(option, argv, env, file.get(option.name)) for option in options}
    speakers = _speakers(options, given)
    spoken = {option.name: _value(option, given[option.name], env) for option in set(speakers.values())}
    read = {name: spoken[speaker.name] for name, speaker in speakers.items()}
    if read.get(NO_LIMITS):
        read[API_LIMIT] = -1
    if read.get(OLD_ADDRESS, values.NOWHERE) != values.NOWHERE:
        read[TLS_ADDRESS if read[TLS] else HTTP_ADDRESS] = read[OLD_ADDRESS]
    settings = Settings(**{option.setting: read[option.name] for option in options if option.setting})
    settings_module.check(settings)
    sources = {name: given[speaker.name].source for name, speaker in speakers.items()}
    warnings = (*_unknown(env, options), *_empty(env, options, given), *_without_effect(options, given, env))
    return Loaded(settings, read, sources, warnings)


def without_userinfo(text: str) -> str:
    """``text`` without the user names and passwords of the URLs in it."""
    return _USERINFO.sub("", text)


def _yaml_values(argv: Mapping[str, Any], env: Mapping[str, str], options: Sequence[Option]) -> dict[str, YamlValue]:
    paths = [_given(option, argv, env, None) for option in options if option.type is OptionType.CONFIG_PATH]
    path = next((given.texts[-1] for given in paths if given.texts), "")
    return read_yaml(path, options) if path else {}


def _given(option: Option, argv: Mapping[str, Any], env: Mapping[str, str], file: YamlValue | None) -> _Given:
    flags: tuple[str, ...] = tuple(argv.get(option.flag, ())) if option.flag else ()
    variable = env.get(option.env, "") if option.env else ""
    if flags:
        # A list has what both say; of anything else the flag alone counts.
        return _Given(Source.FLAG, f"flag --{option.flag}", (variable, *flags) if variable else flags)
    if variable:
        return _Given(Source.ENV, "environment", (variable,))
    if file is not None and isinstance(file.text, tuple):
        return _Given(Source.YAML, file.place, (), file.text)
    if file is not None:
        return _Given(Source.YAML, file.place, (str(file.text),))
    return _Given(Source.DEFAULT if option.default else Source.NONE, "default", (option.default,))


def _speakers(options: Sequence[Option], given: Mapping[str, _Given]) -> dict[str, Option]:
    """By name the option whose value each has: options with one path have that of the highest source which spoke."""
    by_path: dict[str, list[Option]] = defaultdict(list)
    for option in options:
        by_path[option.path or option.name].append(option)

    def rank(option: Option) -> tuple[int, bool]:
        return RANK[given[option.name].source], bool(option.use_instead)

    return {option.name: min(by_path[option.path or option.name], key=rank) for option in options}


def _value(option: Option, given: _Given, env: Mapping[str, str]) -> Any:
    if option.type is OptionType.STRING_ARRAY:
        return tuple(_read(option, given, element, env) for element in _elements(option, given))
    if given.source is Source.NONE and option.type in values.EMPTY:
        return values.EMPTY[option.type]
    value = _read(option, given, given.texts[-1], env)
    return value + numbered(option, env) if option.numbered_env else value


def _elements(option: Option, given: _Given) -> tuple[str, ...]:
    if given.elements is not None:
        return given.elements
    elements: tuple[str, ...] = ()
    for text in given.texts:
        try:
            elements = (*elements, *values.read_csv(text)) if text else ()  # an empty text takes back what stood before it
        except ValueError as error:
            raise _refusal(option, given, text, error) from None
    return elements


def _read(option: Option, given: _Given, text: str, env: Mapping[str, str]) -> Any:
    try:
        return values.read(option, text, env)
    except ValueError as error:
        raise _refusal(option, given, text, error) from None


def _refusal(option: Option, given: _Given, text: str, error: ValueError) -> InvalidOption:
    if option.holds_secrets:
        return InvalidOption(f"{option.label}: the secret value from {given.place} cannot be read as {option.type}")
    text = without_userinfo(text)
    shown = text if len(text) <= LONGEST_SHOWN_VALUE else f"{text[:LONGEST_SHOWN_VALUE]}…"
    return InvalidOption(f"{option.label}: {shown!r} from {given.place} {error}")


def _unknown(env: Mapping[str, str], options: Sequence[Option]) -> Iterator[str]:
    """A line for each variable that was probably meant for this service and reaches nothing."""
    known = [option.env for option in options if option.env.startswith(OWN_PREFIX)]
    prefixes = [prefix for option in options for prefix in option.numbered_env]
    for name in sorted(env):
        if name.startswith(OWN_PREFIX) and name not in known and not any(_is_numbered(name, prefix) for prefix in prefixes):
            nearest = difflib.get_close_matches(name[:LONGEST_SHOWN_VALUE], known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            yield f"{name!r} in the environment is not an option{hint}"


def _empty(env: Mapping[str, str], options: Sequence[Option], given: Mapping[str, _Given]) -> Iterator[str]:
    """A line for each variable that was probably emptied to turn something off, and turns nothing off."""
    for option in options:
        if option.off_when_empty and env.get(option.env) == "" and given[option.name].source is not Source.FLAG:
            yield f'{option.env} is empty, which counts as not set; to turn it off say --{option.flag}=""'


def _without_effect(options: Sequence[Option], given: Mapping[str, _Given], env: Mapping[str, str]) -> Iterator[str]:
    """One line with every option that somebody has set and that changes nothing here."""
    driving = {option.path for option in options if option.acts}
    inert = [option for option in options if not option.acts and not (option.path and option.path in driving)]
    set_ones = [option.label for option in inert if RANK[given[option.name].source] < RANK[Source.DEFAULT]]
    prefixes = [prefix for option in inert for prefix in option.numbered_env]
    set_ones += [f"{prefix}_…" for prefix in prefixes if any(_is_numbered(name, prefix) for name in env if env[name])]
    if set_ones:
        yield f"set, but without effect in this service: {', '.join(set_ones)}"


def _is_numbered(name: str, prefix: str) -> bool:
    return re.match(rf"{prefix}_[0-9]", name, re.ASCII) is not None
