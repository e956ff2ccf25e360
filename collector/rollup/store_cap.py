"""What a store that has grown to its cap may still take."""

from __future__ import annotations

import enum


class StoreState(enum.StrEnum):
    """open: everything. full: counts of what is known, nothing new. closed: nothing, the answer is 503."""

    OPEN = "open"
    FULL = "full"
    CLOSED = "closed"


# Parts of the cap. Each state is left well below where it was entered, or it would change with every purge.
CLOSES, FILLS = 1.10, 1.0
REOPENS_TO_FULL, REOPENS = 1.0, 0.95


class StoreCap:
    """Remembers the state of one store, because where it stands between two marks depends on where it came from.

    Args:
        limit_bytes: the cap; 0: none.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0  # as last measured
        self.state = StoreState.OPEN

    def measure(self, size_bytes: int) -> StoreState:
        """The state now that the store holds ``size_bytes``, as ``Store.size_bytes`` counts them."""
        self.size_bytes = size_bytes
        self.state = self._next(size_bytes / self.limit_bytes) if self.limit_bytes > 0 else StoreState.OPEN
        return self.state

    def _next(self, used: float) -> StoreState:
        if used > CLOSES:
            return StoreState.CLOSED
        if self.state is StoreState.CLOSED and used > REOPENS_TO_FULL:
            return StoreState.CLOSED
        if used > FILLS:
            return StoreState.FULL
        if self.state is not StoreState.OPEN and used >= REOPENS:
            return StoreState.FULL
        return StoreState.OPEN
