"""percentile_cont, which SQLite lacks and PostgreSQL sorts everything for: exact, and the same on both.

One value in sixty-four is sorted. Between which two of those a percentile lies is all but certain; how many values are below
the lower one is counted on the way, and what lies between them is sorted: a part of all that shrinks as they become more. Only
when a percentile lies elsewhere after all, are all values sorted.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, or_

ONE_IN = 64
SIGMAS = 4.0  # a sample is further off once in 16,000 times
PERIOD = 1 << 16  # of the numbers that ids are turned into; with an odd factor each comes once


class Bracket(NamedTuple):
    """Where a percentile most likely lies, both ends included."""

    percentile: float  # 0 to 1
    low: float
    high: float


def brackets(
    connection: Connection, values: Select[Any], id_: ColumnElement[int], percentiles: Sequence[float]
) -> list[Bracket]:
    """Of ``percentiles`` of the only column of ``values``, judged by some of its rows; ``id_`` tells rows apart."""
    value = values.selected_columns[0]
    # Ids follow the order in which agents report: every 64th would be the same agents again and again.
    drawn = (id_ % PERIOD * 40_503) % PERIOD < PERIOD // ONE_IN
    some = list(connection.scalars(values.where(drawn).order_by(value)))
    return [_bracket(some, percentile) for percentile in percentiles]


def _bracket(some: Sequence[float], percentile: float) -> Bracket:
    place = percentile * (len(some) - 1)
    off = SIGMAS * math.sqrt(len(some) * percentile * (1 - percentile)) + 2
    low, high = math.floor(place - off), math.ceil(place + off)
    return Bracket(percentile, some[low] if low >= 0 else -math.inf, some[high] if 0 <= high < len(some) else math.inf)


def interpolated(
    connection: Connection, values: Select[Any], count: int, found: Sequence[Bracket], counted: Sequence[int]
) -> list[float]:
    """The percentiles of ``values``, which are ``count`` in all and ``counted`` below the low end of each bracket.

    The place of ``p`` among ``count`` sorted values is p * (count - 1); between two neighbours it is interpolated.
    """
    value = values.selected_columns[0]
    between = or_(*(value.between(each.low, each.high) for each in found))
    near = list(connection.scalars(values.where(between).order_by(value)))
    percentiles = []
    for bracket, before in zip(found, counted, strict=True):
        place = bracket.percentile * (count - 1)
        low, high = math.floor(place), math.ceil(place)
        inside = near[bisect_left(near, bracket.low) : bisect_right(near, bracket.high)]
        if before <= low and high < before + len(inside):
            first, second = inside[low - before], inside[high - before]
        else:
            first, second = _sorted(connection, values, low, high)
        percentiles.append(float(first + (place - low) * (second - first)))
    return percentiles


def _sorted(connection: Connection, values: Select[Any], low: int, high: int) -> tuple[float, float]:
    both = list(connection.scalars(values.order_by(values.selected_columns[0]).offset(low).limit(high - low + 1)))
    return both[0], both[-1]
