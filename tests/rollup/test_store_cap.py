from __future__ import annotations

from collector.rollup.store_cap import StoreCap, StoreState

OPEN, FULL, CLOSED = StoreState.OPEN, StoreState.FULL, StoreState.CLOSED


def states(*percents: float) -> list[StoreState]:
    """The states of one store that grows and shrinks through ``percents`` of its cap."""
    cap = StoreCap(10_000)
    return [cap.measure(round(percent * 100)) for percent in percents]


def test_a_store_fills_and_closes() -> None:
    """Over its cap a store takes nothing new, ten percent above it nothing at all."""
    assert states(0, 99, 100, 100.01, 105, 110, 110.01, 200) == [OPEN, OPEN, OPEN, FULL, FULL, FULL, CLOSED, CLOSED]


def test_it_opens_well_below_where_it_filled() -> None:
    """A full store stays full until it is below 95 %, so that a purge does not open it for a moment."""
    assert states(101, 99, 95, 94.99, 99) == [FULL, FULL, FULL, OPEN, OPEN]


def test_it_counts_again_before_it_takes_new_things() -> None:
    """A closed store is first full and then open."""
    assert states(111, 105, 100.01, 100, 95, 94) == [CLOSED, CLOSED, CLOSED, FULL, FULL, OPEN]


def test_no_cap_is_never_reached() -> None:
    """A cap of 0 means none."""
    assert StoreCap(0).measure(2**60) is OPEN


def test_the_size_is_remembered() -> None:
    """What was measured last can be shown."""
    cap = StoreCap(10_000)
    cap.measure(1_234)
    assert cap.size_bytes == 1_234
