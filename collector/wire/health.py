"""What /readyz answers."""

from __future__ import annotations

from typing import Literal

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One named check of readiness; ``detail`` says in words what was found."""

    name: str
    ok: bool
    detail: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service can do its work now: it can when every check passes."""

    status: Literal["ready", "not ready"]
    checks: tuple[Check, ...]
