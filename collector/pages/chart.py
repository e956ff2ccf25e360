"""Stacked bars as numbers for an SVG in the page: drawn by the server, so that they need no script and no style of their own.

The drawing is 100 high and as wide as there are bars; the page stretches it. Its words stand beside it as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from collector.pages import units

HEIGHT = 100.0
GAP = 0.18  # of a bar's place
SMALLEST = 0.8  # what is there can be seen


class Segment(NamedTuple):
    """A rectangle: which kind it is of, and where it stands."""

    kind: str
    y: str
    height: str


class Bar(NamedTuple):
    """One step: ``title`` says all of it in words."""

    x: str
    segments: list[Segment]
    title: str


class Chart(NamedTuple):
    """A drawing, its highest value, and the words under its begin, middle and end."""

    width: int
    bar_width: str
    bars: list[Bar]
    top: str
    half: str
    ticks: list[str]
    empty: bool


class Step(NamedTuple):
    """What a bar is made of: values in the order of the chart's kinds."""

    label: str
    values: Sequence[int]


def stacked(steps: Sequence[Step], kinds: Sequence[str], words: Sequence[str]) -> Chart:
    """The chart of ``steps``; ``kinds`` name the colours and ``words`` what is counted, both in the order of the values."""
    top = nice_top(max((sum(step.values) for step in steps), default=0))
    bars = []
    for place, step in enumerate(steps):
        said = ", ".join(f"{units.count(value)} {word}" for value, word in zip(step.values, words, strict=True) if value)
        title = f"{step.label}: {said or 'none'}"
        bars.append(Bar(f"{place + GAP / 2:.2f}", _segments(step.values, kinds, top), title))
    ends = [steps[at].label for at in sorted({0, len(steps) // 2, len(steps) - 1})] if steps else []
    empty = not any(any(step.values) for step in steps)
    half = units.short(top // 2) if top % 2 == 0 else ""
    return Chart(max(len(steps), 1), f"{1 - GAP:.2f}", bars, units.short(top), half, ends, empty)


def nice_top(highest: int) -> int:
    """The smallest of 1, 2, 4, 5, 8, 10 times a power of ten that is not below ``highest``; at least 2."""
    power = 1
    while power * 10 < highest:
        power *= 10
    return max(2, next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= highest))


def _segments(values: Sequence[int], kinds: Sequence[str], top: int) -> list[Segment]:
    segments, foot = [], HEIGHT
    for value, kind in zip(values, kinds, strict=True):
        if not value:
            continue
        height = max(HEIGHT * value / top, SMALLEST)
        foot -= height
        segments.append(Segment(kind, f"{max(foot, 0):.2f}", f"{height:.2f}"))
    return segments
