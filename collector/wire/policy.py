"""What is asked of a policy, and what is answered: a verdict for each thing that a page loads."""

from __future__ import annotations

import enum


class Verdict(enum.StrEnum):
    """What a policy does with something that a page asks for."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"  # it hangs on what no report says: a nonce, a path that was cut, what 'self' is, or the browser
