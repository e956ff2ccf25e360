"""The body that asks for a token -> what is asked, and for how long a token may work. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import NamedTuple

import msgspec

from collector.wire.errors import InvalidInput, Validation
from collector.wire.identity import Role
from collector.wire.tokens import MAX_NAME, NewToken, TokenName

TOO_LONG = "The lifetime of the token is too long."
UNUSABLE = "The body does not say what token is wanted."

_DECODER = msgspec.json.Decoder(NewToken)
_PLACE = re.compile(r"(.*) - at `\$\.?([^`]*)`")


class Lifetimes(NamedTuple):
    """For how long tokens may work, by the role of the user whom they are for."""

    usual: timedelta
    longest: timedelta
    longest_of_owner: timedelta

    def limit(self, role: Role) -> timedelta:
        """The longest lifetime of a token of a user with ``role``."""
        return self.longest_of_owner if role is Role.OWNER else self.longest

    def granted(self, asked: timedelta | None, role: Role) -> timedelta:
        """The lifetime that is ``asked``; without one the usual, or the limit when that is shorter.

        Raises:
            InvalidInput: it is over the limit.
        """
        limit = self.limit(role)
        if asked is None:
            return min(self.usual, limit)
        if asked > limit:
            reason = f"For a token of the role {role} it is {limit / timedelta(hours=1):g} hours at most."
            raise InvalidInput(TOO_LONG, reason, (Validation("lifetime", reason),))
        return asked


def token_name(text: str) -> str:
    """``text`` as the name of a token.

    Raises:
        InvalidInput: it is too long, or holds a control character.
    """
    try:
        return msgspec.convert(text, TokenName)
    except msgspec.ValidationError:
        problem = f"must have at most {MAX_NAME} characters, and no control characters"
        raise InvalidInput(f"The name {text!r} cannot be used: it {problem}.", "", (Validation("name", problem),)) from None


def new_token(body: bytes) -> NewToken:
    """What ``body`` asks for.

    Raises:
        InvalidInput: it is not JSON, or a field is unknown or cannot be used; the field is named.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        placed = _PLACE.fullmatch(str(error))
        reason, field = (placed[1], placed[2]) if placed else (str(error), "")
        raise InvalidInput(UNUSABLE, reason, (Validation(field, reason),) if field else ()) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(UNUSABLE, "It is not valid JSON.") from error
