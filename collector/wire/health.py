"""What /readyz answers."""

from __future__ import annotations

from typing import Literal

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One named check; ``detail`` says in words what was found. Without what is ``needed`` the service takes nothing in."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service can do its work now: it can when every check passes that is needed."""

    status: Literal["ready", "not ready"]
    checks: tuple[Check, ...]
