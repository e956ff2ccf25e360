"""Quantities in the words of a reader: counts, bytes, latencies, moments. The same rules stand in ``static/page.js``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
THOUSAND = 1_000
LETTERS = ("", "k", "M", "G", "T")
BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")  # powers of 1,000, as network traffic is sold and graphed


class Quantity(NamedTuple):
    """A number and its unit apart, so that a page can set the unit in smaller type."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".strip()


class Moment(NamedTuple):
    """One point in time, three ways: ``iso`` for machines, ``ago`` at a glance, ``exact`` to compare with a log."""

    iso: str
    ago: str
    exact: str


def count(value: int) -> str:
    """Digits in groups of three, with a thin space that no line breaks at: 1 234 567."""
    return f"{value:,}".replace(",", "\u202f")


def short(value: int) -> str:
    """A count in three digits and a letter: 999, 1.2k, 34k, 5M. The exact number stands elsewhere."""
    size, letter = float(value), 0
    while round(size) >= THOUSAND and letter < len(LETTERS) - 1:
        size, letter = size / THOUSAND, letter + 1
    if not letter:
        return str(value)
    digits = 0 if size.is_integer() else max(0, 3 - len(str(round(size))))
    return f"{size:.{digits}f}{LETTERS[letter]}"


def traffic(size: int) -> Quantity:
    """Bytes in the largest unit that leaves at least one digit before the point, three digits in all."""
    value, unit = float(size), 0
    while round(value) >= THOUSAND and unit < len(BYTE_UNITS) - 1:
        value, unit = value / THOUSAND, unit + 1
    return Quantity(_three_digits(value) if unit else str(size), BYTE_UNITS[unit])


def latency(milliseconds: float) -> Quantity | None:
    """A latency in ms, or in s from one second up; None when none was seen, which the wire says as -1."""
    if milliseconds < 0:
        return None
    if round(milliseconds) >= SECOND:
        return Quantity(_three_digits(milliseconds / SECOND), "s")
    return Quantity(_three_digits(milliseconds), "ms")


def moment(at: int, *, now: int) -> Moment:
    """The moment ``at`` as seen from ``now``, both in milliseconds since the epoch."""
    when, today = (datetime.fromtimestamp(time / 1_000, UTC) for time in (at, now))
    return Moment(
        iso=iso(at),
        ago=distance(at, now=now),
        exact=f"{when:%d %b %H:%M} UTC" if when.year == today.year else f"{when:%Y-%m-%d %H:%M} UTC",
    )


def iso(at: int) -> str:
    """The moment ``at`` (ms) as RFC 3339, to the second."""
    return datetime.fromtimestamp(at // 1_000, UTC).isoformat().replace("+00:00", "Z")


def bucket(at: int, step_seconds: int) -> str:
    """The begin of a step (ms), as exact as the step is long: "21 Sep" or "21 Sep 14:00"."""
    when = datetime.fromtimestamp(at / 1_000, UTC)
    return f"{when:%-d %b}" if step_seconds * SECOND % DAY == 0 else f"{when:%-d %b %H:%M}"


def distance(at: int, *, now: int) -> str:
    """How far away ``at`` is: "just now", "4 min ago", "in 20 s"."""
    gap = abs(now - at)
    if gap < SECOND:
        return "just now"
    size, unit = next((size, unit) for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")) if gap >= size)
    words = f"{gap // size} {unit}"
    return f"in {words}" if at > now else f"{words} ago"


def _three_digits(value: float) -> str:
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2  # noqa: PLR2004  # where rounding makes one digit more
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text
