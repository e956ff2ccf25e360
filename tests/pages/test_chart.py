"""Bars as numbers for a drawing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.pages.chart import HEIGHT, SMALLEST, Step, nice_top, stacked

KINDS, WORDS = ("enforce", "report"), ("enforced", "reported")


def test_a_bar_stands_on_the_one_below() -> None:
    """Its segments touch, the first one the ground, and its height is its share of the highest line."""
    chart = stacked([Step("10:00", (3, 1)), Step("10:05", (0, 0)), Step("10:10", (0, 8))], KINDS, WORDS)
    first, none, last = chart.bars

    assert (chart.width, chart.top, chart.half, chart.empty) == (3, "8", "4", False)
    assert [(each.kind, each.y, each.height) for each in first.segments] == [
        ("enforce", "62.50", "37.50"),
        ("report", "50.00", "12.50"),
    ]
    assert none.segments == []
    assert [(each.kind, each.y, each.height) for each in last.segments] == [("report", "0.00", "100.00")]
    assert [bar.title for bar in chart.bars] == ["10:00: 3 enforced, 1 reported", "10:05: none", "10:10: 8 reported"]
    assert chart.ticks == ["10:00", "10:05", "10:10"]


def test_little_beside_much_can_be_seen() -> None:
    """One report beside a million has a height, and stays within the drawing."""
    segment = stacked([Step("a", (1_000_000, 1)), Step("b", (0, 1))], KINDS, WORDS).bars[1].segments[0]
    assert float(segment.height) == SMALLEST


def test_nothing_is_said_to_be_nothing() -> None:
    """Without a step, and without a report in any step, the drawing is empty."""
    assert stacked([], KINDS, WORDS).empty
    assert stacked([Step("a", (0, 0))], KINDS, WORDS).empty


@given(st.integers(0, 10**15))
def test_the_highest_line_is_round_and_close(highest: int) -> None:
    """It is not below the highest value, not far above it, and has one digit, or is ten."""
    top = nice_top(highest)
    assert highest <= top <= max(2, 2 * highest)
    assert str(top).rstrip("0") in {"1", "2", "4", "5", "8"}


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=10))
def test_no_bar_leaves_the_drawing(values: list[tuple[int, int]]) -> None:
    """Whatever is counted, every segment lies between the ground and the top."""
    for bar in stacked([Step(str(number), pair) for number, pair in enumerate(values)], KINDS, WORDS).bars:
        for segment in bar.segments:
            assert 0 <= float(segment.y) <= HEIGHT
            assert float(segment.y) + float(segment.height) <= HEIGHT + SMALLEST
