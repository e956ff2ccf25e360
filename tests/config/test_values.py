"""Texts are read as Go reads them, and nothing but ValueError comes of those that cannot be."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config import values
from collector.config.values import NOWHERE, HostPort
from tests.examples import examples


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("30s", 30 * 10**9),
        ("1m30s", 90 * 10**9),
        ("1.5h", 5_400 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("7d", 7 * 86_400 * 10**9),
        ("2w1d", 15 * 86_400 * 10**9),
        ("1h0m0s", 3_600 * 10**9),
        ("100ms", 10**8),
        ("3us", 3_000),
        ("3µs", 3_000),
        ("3μs", 3_000),
        ("12ns", 12),
        ("0", 0),
        ("-0", 0),
        ("+5m", 300 * 10**9),
        ("-1m", -60 * 10**9),
        ("0.3333333333333333333h", 1_199_999_999_999),
    ],
)
def test_durations_are_read_as_go_does(text: str, nanoseconds: int) -> None:
    """Every unit of Go's, and days and weeks; what is left below a nanosecond is cut off."""
    assert values.read_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", ".s", "1x", "1S", "1 s", "1s ", "--1s", "1e3s", "٣s", "300000w", "9" * 70 + "s", "1s1"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """No unit, no number, other digits, or more than 64 bits of nanoseconds."""
    with pytest.raises(ValueError, match=r"is not a duration like 30s|is out of range"):
        values.read_duration_ns(text)


def test_a_duration_finer_than_a_microsecond_is_refused() -> None:
    """Settings hold microseconds: nothing is rounded silently."""
    with pytest.raises(ValueError, match="finer than a microsecond"):
        values.read_duration("1500ns")


@given(st.integers(min_value=-(2**63) // 1000 + 1, max_value=2**63 // 1000 - 1))
def test_durations_round_trip(microseconds: int) -> None:
    """Every duration has a text that reads as the same duration."""
    duration = timedelta(microseconds=microseconds)
    assert values.read_duration(values.duration_text(duration)) == duration


@pytest.mark.parametrize(
    ("duration", "text"), [(timedelta(hours=24), "1d"), (timedelta(seconds=90), "1m30s"), (timedelta(0), "0s")]
)
def test_durations_are_shown_shortly(duration: timedelta, text: str) -> None:
    """Only units that count for something are written."""
    assert values.duration_text(duration) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1_048_576),
        ("500MB", 500_000_000),
        ("10GB", 10**10),
        ("2GiB", 2 * 2**30),
        ("1.5kB", 1_500),
        ("3 tb", 3 * 10**12),
        ("7B", 7),
        ("0", 0),
        ("0.1KiB", 102),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Plain bytes, decimal units and binary ones, whole bytes only."""
    assert values.read_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "10G", "-1", "1e9", "10 000", "1.5.0GB", "8192PiB", "٣MB", "10GBs"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """No number, an ambiguous unit (10G), a sign, or more than 63 bits."""
    with pytest.raises(ValueError, match=r"is not a size|is out of range"):
        values.read_bytes(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:3000", HostPort("127.0.0.1", 3000)),
        ("localhost:0", HostPort("localhost", 0)),
        (":8080", HostPort("", 8080)),
        ("[::1]:65535", HostPort("::1", 65535)),
        ("[fe80::1%eth0]:80", HostPort("fe80::1%eth0", 80)),
        ("", NOWHERE),
    ],
)
def test_addresses(text: str, address: HostPort) -> None:
    """Names, addresses, brackets around IPv6, every port; nothing is nowhere. They are written as they are read."""
    assert values.read_host_port(text) == address
    if text:
        assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "localhost",
        "localhost:",
        "::1:80",
        "[::1]",
        "[::1:80",
        "a b:80",
        "h:65536",
        "h:-1",
        "h:http",
        "[1.2.3.4]:1",
        "h:٣",
        "http://h:80",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """No port, a port that is none, IPv6 without brackets, or a URL."""
    with pytest.raises(ValueError, match=r"^is not host:port$|^has a port over 65535$"):
        values.read_host_port(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("T", True), ("True", True), ("f", False), ("FALSE", False), ("", False)]
)
def test_bools(text: str, value: bool) -> None:
    """The words of Go's ParseBool, and nothing at all for false."""
    assert values.read_bool(text) is value


@pytest.mark.parametrize("text", ["yes", "on", "tRUE", " true", "2"])
def test_what_is_no_bool_is_refused(text: str) -> None:
    """Words of other languages are not guessed at."""
    with pytest.raises(ValueError, match="is neither true nor false"):
        values.read_bool(text)


@pytest.mark.parametrize("text", ["", "1.0", "1_000", "0x10", "9223372036854775808", "1" * 70, " 1", "٣"])
def test_what_is_no_integer_is_refused(text: str) -> None:
    """Decimal digits of a 64-bit integer only."""
    with pytest.raises(ValueError, match=r"is not an integer|is out of range"):
        values.read_int(text)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1))
def test_lists_round_trip(elements: list[str]) -> None:
    """What is written as one CSV record is read as the same elements."""
    record = io.StringIO()
    csv.writer(record, quoting=csv.QUOTE_ALL, lineterminator="").writerow(elements)
    assert values.read_csv(record.getvalue()) == tuple(elements)


@pytest.mark.parametrize(
    ("text", "env", "path"),
    [
        ("/srv/collector", {}, "/srv/collector"),
        ("~/c", {"HOME": "/home/x"}, "/home/x/c"),
        ("/srv/../c/", {}, "/c"),
        ("${XDG_DATA_HOME:-~/.local/share}/collector", {"HOME": "/home/x"}, "/home/x/.local/share/collector"),
        ("${XDG_DATA_HOME:-~/.local/share}/collector", {"HOME": "/h", "XDG_DATA_HOME": ""}, "/h/.local/share/collector"),
        (
            "${XDG_DATA_HOME:-~/.local/share}/collector",
            {"HOME": "/h", "XDG_DATA_HOME": "relative"},
            "/h/.local/share/collector",
        ),
        ("${XDG_DATA_HOME:-~/.local/share}/collector", {"XDG_DATA_HOME": "/data"}, "/data/collector"),
    ],
)
def test_paths(text: str, env: dict[str, str], path: str) -> None:
    """A path is absolute, below the home directory for ~, and follows an absolute XDG_DATA_HOME only."""
    assert values.read_path(text, env) == Path(path)


@pytest.mark.parametrize(
    "reader",
    [
        values.read_duration,
        values.read_duration_ns,
        values.read_bytes,
        values.read_host_port,
        values.read_int,
        values.read_bool,
        values.read_csv,
        values.read_url,
        *values.FORMATS.values(),
    ],
)
@given(text=st.text() | st.text("0123456789.:/[]%@-+~ abdhmswGKMiB\"'#,"))
@settings(max_examples=examples(60))
def test_no_text_breaks_a_reader(reader: Callable[[str], Any], text: str) -> None:
    """Whatever the text, a reader returns or raises ValueError with half a sentence on one line."""
    assert re.fullmatch(r"(?:is|has|holds) .+|", _refusal(reader, text))


def _refusal(reader: Callable[[str], Any], text: str) -> str:
    try:
        reader(text)
    except ValueError as error:
        return str(error)
    return ""
