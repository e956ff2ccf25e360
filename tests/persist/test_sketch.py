"""Estimates of how many there were, from sketches that know nobody."""

from __future__ import annotations

import hashlib

import pytest

from collector.persist.sketch import REGISTERS, add, estimate, mark, merge, packed, unpacked


def marks(*numbers: int) -> list[int]:
    return [mark(hashlib.blake2b(b"%d" % number, digest_size=8).digest()) for number in numbers]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12, 100, 1_000, 20_000, 300_000])
def test_the_estimate_is_close(count: int) -> None:
    """A few are told exactly or nearly so, many within a fifth: three times the expected error."""
    sketch = bytearray(REGISTERS)
    add(sketch, marks(*range(count)))
    assert estimate(sketch) == pytest.approx(count, rel=0.2, abs=0 if count < 4 else 1)


def test_who_comes_again_changes_nothing() -> None:
    """Only a client that is new to its register changes the sketch."""
    sketch = bytearray(REGISTERS)
    assert add(sketch, marks(1, 2, 3))
    assert not add(sketch, marks(3, 2, 1, 1))


def test_merged_sketches_are_the_sketch_of_all() -> None:
    """It makes no difference who counted whom."""
    one, other, whole = (bytearray(REGISTERS) for _ in range(3))
    add(one, marks(*range(60)))
    add(other, marks(*range(40, 100)))
    add(whole, marks(*range(100)))
    merge(one, other)
    assert one == whole


@pytest.mark.parametrize("count", [0, 1, 127, 128, 180, 5_000])
def test_a_sketch_survives_storage(count: int) -> None:
    """What is stored is never longer than the registers, is short for few clients, and gives the sketch back."""
    sketch = bytearray(REGISTERS)
    add(sketch, marks(*range(count)))
    assert unpacked(packed(sketch)) == sketch
    assert len(packed(sketch)) <= min(REGISTERS, 2 * count)


def test_extreme_hashes_have_a_place() -> None:
    """All zeros and all ones are marks like others: rank 57 and rank 1."""
    assert mark(bytes(8)) == 57
    assert mark(b"\xff" * 8) == 255 << 6 | 1
