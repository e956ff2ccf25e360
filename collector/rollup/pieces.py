"""Many rows, fetched so that the event loop goes on between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select

PIECE = 500  # rows


def pieces(connection: Connection, selected: Select[Any]) -> Iterator[Any]:
    """The rows, fetched so many at a time that a piece of them does not hold up the event loop."""
    options = {"stream_results": True, "yield_per": PIECE}
    for piece in connection.execute(selected, execution_options=options).partitions():
        yield from piece
