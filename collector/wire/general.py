"""What answers of several kinds share."""

from __future__ import annotations

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One field of a request that was refused, and why."""

    field: str
    detail: str
