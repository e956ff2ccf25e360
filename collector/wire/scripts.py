"""The script inventory: what is asked of it, and what is answered. Times are RFC 3339, UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

MAX_LIMIT = 1_000  # results of one page


class ScriptQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the script inventory. ``after`` is the ``next`` of the page before."""

    project: str | None = None  # its name
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 100
    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] = 0


class StoredScript(msgspec.Struct, frozen=True):
    """A script that pages of one origin load, in one version. ``type`` ``overflow`` sums up what had no room of its own."""

    project: str
    document_origin: str | None
    url: str | None
    hash: str
    type: str
    destination: str
    count: int
    first_seen: datetime
    last_seen: datetime


class ScriptPage(msgspec.Struct, frozen=True):
    """``count`` scripts match in all, of which ``results`` is one page, oldest first; ``next`` is None on the last one."""

    count: int
    results: list[StoredScript]
    next: int | None
