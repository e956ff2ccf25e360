"""How many different clients there were, without keeping who: HyperLogLog with 256 registers (Flajolet et al., 2007).

A client is a *mark*: the register that its hash falls into and the rank it has there, 14 bits of 64. A sketch is the
highest rank of each register. The estimate is exact to about 6.5 %, and to one or two below a dozen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

REGISTERS = 256
_RANK_BITS = 6
_RANK = (1 << _RANK_BITS) - 1
_HASH_BITS = 64 - 8  # what is left of the hash when the register is taken off
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)


def mark(digest: bytes) -> int:
    """The mark of a client whose hash is these 8 bytes."""
    number = int.from_bytes(digest, "big")
    rank = _HASH_BITS - (number >> 8).bit_length() + 1
    return (number & (REGISTERS - 1)) << _RANK_BITS | rank


def add(sketch: bytearray, marks: Iterable[int]) -> bool:
    """Add clients to a sketch of 256 registers; whether that changed it."""
    changed = False
    for each in marks:
        register, rank = each >> _RANK_BITS, each & _RANK
        if sketch[register] < rank:
            sketch[register] = rank
            changed = True
    return changed


def merge(sketch: bytearray, other: bytes | bytearray) -> None:
    """Add the clients of another sketch."""
    for register, rank in enumerate(other):
        sketch[register] = max(sketch[register], rank)


def estimate(sketch: bytes | bytearray) -> int:
    """How many different clients the sketch has seen."""
    empty = sketch.count(0)
    if empty == REGISTERS:
        return 0
    raw = _ALPHA * REGISTERS * REGISTERS / math.fsum(2.0**-rank for rank in sketch)
    if empty and raw <= 2.5 * REGISTERS:
        return round(REGISTERS * math.log(REGISTERS / empty))  # few clients are told better by the registers left empty
    return round(raw)


def packed(sketch: bytearray) -> bytes:
    """The sketch as it is stored: pairs of register and rank while they are fewer than half, else all 256 ranks."""
    filled = [(register, rank) for register, rank in enumerate(sketch) if rank]
    return bytes(sketch) if 2 * len(filled) >= REGISTERS else bytes(number for pair in filled for number in pair)


def unpacked(stored: bytes) -> bytearray:
    """The 256 registers of a stored sketch."""
    if len(stored) == REGISTERS:
        return bytearray(stored)
    sketch = bytearray(REGISTERS)
    for register, rank in zip(stored[::2], stored[1::2], strict=True):
        sketch[register] = rank
    return sketch
