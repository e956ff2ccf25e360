"""What waits for the writer, and how much of a batch it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from collector.wire.records import CspIntake, Record, Refusal


class Submission(msgspec.Struct, eq=False):
    """Records that stand or fall together with their caller's answer."""

    records: Sequence[Record]
    weight: int  # reports and rows
    deadline: float
    done: asyncio.Future[tuple[Refusal, ...]]


def weight_of(records: Sequence[Record]) -> int:
    """How many reports and rows ``records`` are; a POST that brought none still takes one."""
    weight = 0
    for record in records:
        weight += len(record.reports) or 1 if type(record) is CspIntake else 1
    return weight
