"""Tokens as their owners ask for them and see them. Durations are integer nanoseconds, times RFC 3339 UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from collector.wire.fields import INT64_MAX
from collector.wire.identity import Scope

MAX_NAME = 64

TokenName = Annotated[str, msgspec.Meta(max_length=MAX_NAME, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]


class TokenConfig(msgspec.Struct, frozen=True):
    """How long a token of the user may work, in nanoseconds."""

    max_token_lifetime: int


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a new token. An unknown field is refused: it might have been meant to narrow what the token opens."""

    token_name: TokenName = ""
    lifetime: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)] = 0  # nanoseconds; 0: the usual one
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(max_length=len(Scope))] = ()  # none: all that the user's role opens
    scope: Literal["", "all"] = ""  # how older clients of Coder ask for a token without scopes


class MadeToken(msgspec.Struct, frozen=True):
    """A new token, in clear for the only time."""

    key: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token that works, without its secret. ``last_used`` is exact to the hour, null before the first use."""

    id: str
    user_id: str
    token_name: str
    scopes: tuple[Scope, ...]  # empty: all that the user's role opens
    created_at: datetime
    expires_at: datetime
    last_used: datetime | None
    lifetime_seconds: int
