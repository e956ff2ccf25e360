"""The words for what can go wrong. Lower floors raise these; only ``http/errors.py`` knows their status numbers."""

from __future__ import annotations

from typing import NamedTuple


class Validation(NamedTuple):
    """One field of a request that was refused, and why."""

    field: str
    detail: str


class CollectorError(Exception):
    """An expected failure: ``message`` is for the caller, ``detail`` narrows it down, ``validations`` name the fields."""

    def __init__(self, message: str, detail: str = "", validations: tuple[Validation, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.validations = validations


class InvalidReport(CollectorError):
    """The body is not JSON, or has no shape that any browser or agent sends."""


class InvalidInput(CollectorError):
    """A parameter or a field of a request is not acceptable."""


class InvalidOption(CollectorError):
    """An option's value cannot be used; the message names the option, where it came from, and the value."""


class Unauthorized(CollectorError):
    """No credential, or one that is unknown, expired or revoked."""


class Forbidden(CollectorError):
    """The credential is known but may not do this."""


class NotFound(CollectorError):
    """The thing asked for does not exist, or must not be seen by the caller."""


class Gone(CollectorError):
    """The project was retired: whoever sends to it should stop."""


class Conflict(CollectorError):
    """The thing exists already, or has changed meanwhile."""


class TooLarge(CollectorError):
    """The body is over the limit of its route."""


class TargetTooLong(CollectorError):
    """The path and query of a request are over the limit."""


class HeaderTooLong(CollectorError):
    """A header of a request is over the limit."""


class NotReady(CollectorError):
    """The answer does not exist yet: the first snapshot has not been built."""


class RateLimited(CollectorError):
    """The caller has used up its budget; ``retry_after`` is in whole seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BypassRefused(CollectorError):
    """A user who is no owner asked to be let past the rate limit."""


class Overloaded(CollectorError):
    """Nothing was stored or read: the queue is full, or the store fails longer than the caller may wait. Try again later."""
