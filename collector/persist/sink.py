"""What intake hands records to: the writer, or the stream before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collector.wire.records import Record, Refusal


class Sink(Protocol):
    """Where records become durable."""

    @property
    def works(self) -> bool:
        """Whether what is submitted now is likely to become durable."""

    @property
    def has_room(self) -> bool:
        """Whether a submission would be taken now."""

    @property
    def queue_depth(self) -> int:
        """Reports and rows that wait for their answer."""

    async def submit(self, records: Sequence[Record]) -> tuple[Refusal, ...]:
        """Make ``records`` durable, and say which of them are refused.

        Raises:
            Overloaded: nothing of it is promised to be stored.
        """
