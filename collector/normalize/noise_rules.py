"""The rules in effect: those that ship, as an operator's file changes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from collector.normalize.noise import EVERYWHERE, RULES, Place, Rule
from collector.wire.csp import DIRECTIVES
from collector.wire.errors import InvalidOption
from collector.wire.records import NoiseClass

MAX_RULES = 500  # that are added; each with prefixes or parts is looked at for every URI that is not remembered
MAX_PATTERNS = 5_000  # of one rule
LONGEST_PATTERN = 500
SHORTEST_PART = 3  # a shorter one would be found in nearly everything

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,63}")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_ENDING = re.compile(r"[a-z0-9_.-]{2,253}")


def _is_text(pattern: str) -> bool:
    return SHORTEST_PART <= len(pattern) <= LONGEST_PATTERN


_A_TEXT = f"a text of {SHORTEST_PART} to {LONGEST_PATTERN} characters"
# Of each key with patterns: what a pattern in lower case must be, and how that is said.
FITS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "schemes": (_SCHEME.fullmatch, "a scheme without its colon"),
    "hosts": (_HOST.fullmatch, "a host name alone; its subdomains fit too"),
    "endings": (_ENDING.fullmatch, "the end of a host name"),
    "prefixes": (_is_text, _A_TEXT),
    "paths": (_is_text, _A_TEXT),
    "parts": (_is_text, _A_TEXT),
}


class AddedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"noise_class": "class"}):
    """One rule as a file writes it. What the keys mean stands at :class:`~collector.normalize.noise.Rule`."""

    name: str
    noise_class: NoiseClass
    schemes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    samples: str | None = None
    directive: str | None = None
    where: tuple[Place, ...] = tuple(EVERYWHERE)


class RuleChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of rules: shipped ones by name to turn off or on, and rules of one's own, which rank before the shipped."""

    disable: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    rules: tuple[AddedRule, ...] = ()


def effective_rules(document: Any, *, place: str) -> tuple[Rule, ...]:
    """The table that ``document``, read from a file, makes of the shipped one; None changes nothing.

    Raises:
        InvalidOption: names ``place``, the rule and the key that cannot be used.
    """
    changes = _changes({} if document is None else document, place)
    shipped = {rule.name: rule for rule in RULES}
    names = [rule.name for rule in changes.rules]
    for key in ("disable", "enable"):
        for name in getattr(changes, key):
            if name not in shipped:
                raise InvalidOption(f"{place}: {key}: no rule {name!r} ships with the collector")
    for name in names:
        if name in shipped or names.count(name) > 1:
            raise InvalidOption(f"{place}: rule {name!r}: name: another rule has it")
    turned = dict.fromkeys(changes.disable, False) | dict.fromkeys(changes.enable, True)
    kept = [msgspec.structs.replace(rule, enabled=turned.get(rule.name, rule.enabled)) for rule in RULES]
    return (*(_rule(rule, place) for rule in changes.rules), *kept)


def _changes(document: Any, place: str) -> RuleChanges:
    """Rule by rule, so that a fault is said of its rule."""
    if isinstance(document, dict) and isinstance(document.get("rules"), list):
        if len(document["rules"]) > MAX_RULES:
            raise InvalidOption(f"{place}: rules: {len(document['rules'])} of them, more than {MAX_RULES}")
        added = [_added(rule, number, place) for number, rule in enumerate(document["rules"], start=1)]
        document = {**document, "rules": []}
    else:
        added = []
    try:
        changes = msgspec.convert(document, RuleChanges)
    except msgspec.ValidationError as error:
        raise InvalidOption(f"{place}: {_words(error)}") from None
    if both := sorted(set(changes.disable) & set(changes.enable)):
        raise InvalidOption(f"{place}: enable: {both[0]!r} is disabled too")
    return msgspec.structs.replace(changes, rules=tuple(added))


def _added(rule: Any, number: int, place: str) -> AddedRule:
    name = rule.get("name") if isinstance(rule, dict) else None
    called = repr(name[:64]) if isinstance(name, str) and name else f"{number}"
    try:
        return msgspec.convert(rule, AddedRule)
    except msgspec.ValidationError as error:
        raise InvalidOption(f"{place}: rule {called}: {_words(error)}") from None


def _words(error: msgspec.ValidationError) -> str:
    """``key: what is wrong``, of what msgspec says of the place."""
    problem, _, where = str(error).partition(" - at ")
    key = where.strip("`").removeprefix("$").removeprefix(".")
    return f"{key}: {problem}" if key else problem


def _rule(added: AddedRule, place: str) -> Rule:
    patterns = {key: _patterns(added, key, place) for key in FITS}
    if not _NAME.fullmatch(added.name):
        raise _refusal(added, place, "name", "must be 1 to 64 of a-z, 0-9 and dash, no dash first")
    if added.directive is not None and added.directive not in DIRECTIVES:
        raise _refusal(added, place, "directive", f"{added.directive!r} is no directive of CSP")
    if not (any(patterns.values()) or added.samples is not None):
        raise _refusal(added, place, "hosts", f"a rule needs this or another of {', '.join(FITS)} and samples")
    if not added.where:
        raise _refusal(added, place, "where", "must name one place at least")
    return Rule(
        name=added.name,
        noise_class=added.noise_class,
        schemes=frozenset(patterns["schemes"]),
        hosts=frozenset(patterns["hosts"]),
        endings=patterns["endings"],
        prefixes=patterns["prefixes"],
        paths=patterns["paths"],
        parts=patterns["parts"],
        samples=_samples(added, place),
        directive=added.directive,
        where=frozenset(added.where),
        spares_makers=False,  # who names a host of their own means it
    )


def _patterns(added: AddedRule, key: str, place: str) -> tuple[str, ...]:
    """What stands under ``key``, in lower case."""
    patterns: Sequence[str] = getattr(added, key)
    fits, meant = FITS[key]
    if len(patterns) > MAX_PATTERNS:
        raise _refusal(added, place, key, f"{len(patterns)} of them, more than {MAX_PATTERNS}")
    for pattern in patterns:
        if not fits(pattern.lower()):
            raise _refusal(added, place, key, f"{pattern[:LONGEST_PATTERN]!r} is not {meant}")
    return tuple(pattern.lower() for pattern in patterns)


def _samples(added: AddedRule, place: str) -> str | None:
    if added.samples is None:
        return None
    if not 0 < len(added.samples) <= LONGEST_PATTERN:
        raise _refusal(added, place, "samples", f"must have 1 to {LONGEST_PATTERN} characters")
    try:
        pattern = re.compile(added.samples)
    except (re.error, OverflowError, RecursionError) as error:
        raise _refusal(added, place, "samples", f"is not a regular expression: {error}") from None
    if pattern.search(""):
        raise _refusal(added, place, "samples", "fits the empty text, and so everything")
    return added.samples


def _refusal(added: AddedRule, place: str, key: str, problem: str) -> InvalidOption:
    return InvalidOption(f"{place}: rule {added.name[:64]!r}: {key}: {problem}")
