from __future__ import annotations

import pytest

from collector.pages import units

NOW = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (73_412_345, "73.4 MB"), (999_960, "1 MB"), (1_834_567_890, "1.83 GB")],
)
def test_traffic_is_three_digits_and_a_unit(size: int, text: str) -> None:
    """Bytes read as people say them, and rounding never shows a thousand of the smaller unit."""
    assert str(units.traffic(size)) == text


@pytest.mark.parametrize(
    ("latency", "text"), [(0.0, "0 ms"), (14.25, "14.2 ms"), (121.0, "121 ms"), (999.7, "1 s"), (2_340.0, "2.34 s")]
)
def test_latency_has_a_unit(latency: float, text: str) -> None:
    """A latency is in milliseconds below a second, and in seconds from there."""
    assert str(units.latency(latency)) == text


def test_no_latency_is_none() -> None:
    """The -1 of the wire is never shown as a number."""
    assert units.latency(-1.0) is None


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "just now"),
        (NOW - 59_999, "59 s ago"),
        (NOW - 60_000, "1 min ago"),
        (NOW - 7_200_000, "2 h ago"),
        (NOW - 172_800_000, "2 d ago"),
        (NOW + 18_000, "in 18 s"),
    ],
)
def test_distance_in_time(at: int, words: str) -> None:
    """How long ago, or how soon, in the largest unit that fits."""
    assert units.distance(at, now=NOW) == words


def test_a_moment_of_another_year_says_the_year() -> None:
    """A date without a year is of this year; any other says which."""
    assert units.moment(NOW, now=NOW) == ("2026-09-21T14:13:20Z", "just now", "21 Sep 14:13 UTC")
    assert units.moment(NOW - 365 * units.DAY, now=NOW).exact == "2025-09-21 14:13 UTC"


def test_counts_are_grouped() -> None:
    """Large counts are read in groups of three digits, which no line breaks apart."""
    assert units.count(1_234_567) == "1\u202f234\u202f567"
