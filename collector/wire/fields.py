"""The field types that bodies of several kinds share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

INT64_MAX = 2**63 - 1

# An id names a row for good: one with a control character is refused, never cleaned into another row's id. The look-ahead
# is there because "$" also matches before a last line feed.
Id = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]

Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]

# RFC 3339 with an offset and up to nine digits of a second; microseconds are kept.
Timestamp = Annotated[datetime, Meta(tz=True)]
