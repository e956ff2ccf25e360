"""Text to value, for every type of option.

All readers raise ``ValueError`` whose message ends a sentence that begins with the text: ``is not an integer``.
"""

from __future__ import annotations

import csv
import ipaddress
import os
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from collector.config.options import STRUCTURED, Option, OptionType
from collector.config.structures import read_ssh_option, read_structure, read_uuid

INT64 = 2**63  # Go keeps integers and durations in 64 bits; so do both databases
LONGEST_NUMBER = 64  # characters; bounds the arithmetic that a text can ask for

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("", "0", "f", "F", "FALSE", "false", "False")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_SIZES = {"": 1, "b": 1} | {
    f"{letter}{infix}b": base**power
    for power, letter in enumerate("kmgtp", start=1)
    for infix, base in (("", 1000), ("i", 1024))
}
_NUMBER = r"(?=\.?[0-9])(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
_DURATION_PART = re.compile(_NUMBER + r"(?P<unit>[a-zµμ]+)")
_SIZE = re.compile(_NUMBER + r" ?(?P<unit>[A-Za-z]*)")
_DEFAULTED = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")


class HostPort(NamedTuple):
    """Where to listen. An empty host means all addresses; port 0 lets the system choose one; a port below 0 means nowhere."""

    host: str
    port: int

    def __str__(self) -> str:
        if self.port < 0:
            return ""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


NOWHERE = HostPort("", -1)


def read_bool(text: str) -> bool:
    """What Go's ``ParseBool`` takes; an empty text is false."""
    if text not in (*_TRUE, *_FALSE):
        raise ValueError("is neither true nor false")
    return text in _TRUE


def read_int(text: str) -> int:
    """A decimal integer of 64 bits."""
    if len(text) > LONGEST_NUMBER or not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError("is not an integer")
    return _in_int64(int(text))


def read_duration_ns(text: str) -> int:
    """Nanoseconds of what Go's ``ParseDuration`` takes, and of days (``d``) and weeks (``w``): ``1m30s``, ``1.5h``, ``7d``."""
    sign, unsigned = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if unsigned == "0":
        return 0
    total, at = 0, 0
    while (
        at < len(unsigned) <= LONGEST_NUMBER and (part := _DURATION_PART.match(unsigned, at)) and part["unit"] in _NANOSECONDS
    ):
        total += _scaled(part, _NANOSECONDS[part["unit"]])
        at = part.end()
    if not unsigned or at < len(unsigned):
        raise ValueError("is not a duration like 30s, 1m30s or 7d")
    return _in_int64(sign * total)


def read_duration(text: str) -> timedelta:
    """As :func:`read_duration_ns`; what is finer than a microsecond is refused, as nothing here could keep it."""
    microseconds, rest = divmod(read_duration_ns(text), 1_000)
    if rest:
        raise ValueError("is finer than a microsecond")
    return timedelta(microseconds=microseconds)


def duration_text(duration: timedelta) -> str:
    """The shortest text that :func:`read_duration` reads as ``duration``: ``1d``, ``1m30s``, ``0s``."""
    rest = duration // timedelta(microseconds=1)
    sign, rest = ("-", -rest) if rest < 0 else ("", rest)
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, _NANOSECONDS[unit] // 1_000)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")


def read_bytes(text: str) -> int:
    """A number of bytes: plain, or with a decimal (``500MB``, ``1.5GB``) or binary (``2GiB``) unit in any case of letters."""
    match = _SIZE.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None or match["unit"].lower() not in _SIZES:
        raise ValueError("is not a size like 500MB, 2GiB or 1048576")
    return _in_int64(_scaled(match, _SIZES[match["unit"].lower()]))


def read_host_port(text: str) -> HostPort:
    """``host:port``, ``[IPv6]:port`` or ``:port``; an empty text is :data:`NOWHERE`."""
    if not text:
        return NOWHERE
    match = re.fullmatch(
        r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[\w.-]*)):(?P<port>[0-9]{1,5})", text, re.ASCII
    )
    if match is None or not _is_ipv6(match["ipv6"] or "::"):
        raise ValueError("is not host:port")
    if int(match["port"]) > 65_535:  # noqa: PLR2004  (the largest there is)
        raise ValueError("has a port over 65535")
    return HostPort(match["ipv6"] or match["host"], int(match["port"]))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def read_csv(text: str) -> tuple[str, ...]:
    """The elements of one CSV record, as Go reads it; an empty text is an empty list."""
    try:
        records = list(csv.reader([text], strict=True))
    except csv.Error:
        raise ValueError("is not a comma-separated list") from None
    return tuple(records[0]) if records else ()


def read_url(text: str) -> str:
    """A URL, absolute or not, as it stands."""
    try:
        urlsplit(text).port  # noqa: B018  (a bad port is found when it is asked for)
    except ValueError:
        raise ValueError("is not a URL") from None
    return text


def read_regexp(text: str) -> str:
    """A pattern of Python's ``re``, which reads most of what RE2 does."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of patterns that may mean something else one day
            re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise ValueError("is not a regular expression") from None
    return text


def _read_http_url(text: str) -> str:
    parts = urlsplit(read_url(text))
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\\]", text)):
        raise ValueError("is not a URL that begins with http:// or https:// and names a host")
    return text


def _read_nats_url(text: str) -> str:
    parts = urlsplit(read_url(text.strip()))
    if parts.scheme not in ("nats", "tls") or not parts.hostname or re.search(r"[\s\\]", text.strip()):
        raise ValueError("is not a URL that begins with nats:// or tls:// and names a host")
    return text.strip()


def _read_header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", text.strip()):
        raise ValueError("is not the name of a header")
    return "-".join(part.capitalize() for part in text.strip().split("-"))


def _read_cidr(text: str) -> str:
    address, slash, bits = text.strip().partition("/")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", bits):
        raise ValueError("is not a network like 10.0.0.0/8")
    try:
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        raise ValueError("is not a network like 10.0.0.0/8") from None


def _read_idle(text: str) -> str:
    if text != "auto" and read_int(text) < 1:
        raise ValueError("is neither auto nor a number from 1")
    return text


def _read_suffix(text: str) -> str:
    if text.startswith("."):
        raise ValueError("has a leading dot, which must be left out")
    return text


READERS: Mapping[OptionType, Callable[[str], Any]] = {
    OptionType.STRING: str,
    OptionType.BOOL: read_bool,
    OptionType.INT: read_int,
    OptionType.DURATION: read_duration,
    OptionType.HOST_PORT: read_host_port,
    OptionType.URL: read_url,
    OptionType.STRING_ARRAY: str,  # of each element
    OptionType.ENUM: str,  # of one of its choices
    OptionType.REGEXP: read_regexp,
    OptionType.BYTES: read_bytes,
    OptionType.PATH: str,
    OptionType.CONFIG_PATH: str,
    **{kind: partial(read_structure, kind) for kind in STRUCTURED},
}
# Of types in which an empty text says nothing.
EMPTY: Mapping[OptionType, Any] = {OptionType.INT: 0, OptionType.DURATION: timedelta(0), OptionType.BYTES: 0}
FORMATS: Mapping[str, Callable[[str], Any]] = {
    "host:port": read_host_port,
    "http-url": _read_http_url,
    "nats-url": _read_nats_url,
    "header": _read_header,
    "cidr": _read_cidr,
    "uuid": read_uuid,
    "regexp": read_regexp,
    "idle-connections": _read_idle,
    "suffix": _read_suffix,
    "ssh-option": read_ssh_option,
}


def read(option: Option, text: str, env: Mapping[str, str]) -> Any:
    """The value of ``text``, of one element if the option is a list.

    Raises:
        ValueError: it has none; the message continues a sentence that begins with the text.
    """
    if "\0" in text:
        raise ValueError("holds a NUL character")
    if option.type is OptionType.PATH:
        return read_path(text, env)
    if option.choices:
        return _choice(text, option.choices)
    if option.type is OptionType.MAP_OF_LISTS and option.format:
        return {key: tuple(map(FORMATS[option.format], texts)) for key, texts in read_structure(option.type, text).items()}
    reader = FORMATS[option.format] if option.format else READERS[option.type]
    value = reader(text)
    if option.minimum and value < reader(option.minimum):
        raise ValueError(f"is less than {option.minimum}")
    return value


def read_path(text: str, env: Mapping[str, str]) -> Path:
    """An absolute path; ``~`` is the home directory, and ``${NAME:-default}`` an absolute path from the environment."""

    def absolute(match: re.Match[str]) -> str:
        # What is relative there counts as unset (XDG Base Directory Specification, "must be absolute").
        value = env.get(match["name"], "")
        return value if value.startswith("/") else match["default"]

    path = _DEFAULTED.sub(absolute, text)
    if path == "~" or path.startswith("~/"):
        path = (env.get("HOME") or os.path.expanduser("~")) + path[1:]  # noqa: PTH111  (Path.home raises where this returns "~")
    if not path or path.startswith("~"):
        raise ValueError("is not a path" if not path else "names a home directory that is not known")
    return Path(os.path.abspath(path))  # noqa: PTH100  (Path has no way to fold ".." without following links)


def _choice(text: str, choices: tuple[str, ...]) -> str:
    for choice in choices:
        if text.casefold() == choice.casefold():
            return choice
    raise ValueError(f"is none of {', '.join(choices)}")


def _scaled(number: re.Match[str], unit: int) -> int:
    """The number times its unit; what is left below one is cut off, as Go does."""
    fraction: str = number["fraction"] or ""
    return int(number["whole"] or 0) * unit + int(fraction or 0) * unit // int("1" + "0" * len(fraction))


def _in_int64(number: int) -> int:
    if not -INT64 <= number < INT64:
        raise ValueError("is out of range")
    return number
