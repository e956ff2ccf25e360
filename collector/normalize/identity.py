"""What is kept of who somebody is: the id as it came, a pseudonym, or nothing."""

from __future__ import annotations

import enum
import hashlib
import hmac
import uuid
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from collector.wire.inventory import InventoryKind, Item, TelemetryIntake
from collector.wire.records import AgentReport, Record, Workspace

NOBODY = str(uuid.UUID(int=0))  # as Go writes an id that is none; columns that must hold an id hold this


R = TypeVar("R", bound=Record)


class UserIdentity(enum.StrEnum):
    """COLLECTOR_USER_IDENTITY."""

    PLAIN = "plain"
    PSEUDONYM = "pseudonym"
    NONE = "none"


class Identities:
    """Turns what names a user into what may be stored of it.

    A pseudonym is an UUID made of the id under the service's own secret: equal for equal ids, and no way back. Users whose
    data was erased are nobody from then on.

    Args:
        kept: how much is stored.
        secret: at least 32 bytes that nobody else knows.
    """

    def __init__(self, kept: UserIdentity, secret: bytes) -> None:
        self.kept = kept
        self._secret = secret
        self.erased: frozenset[str] = frozenset()  # marks, as :meth:`mark` makes them

    def mark(self, user_id: str) -> str:
        """What an erased user is remembered by: 32 hex digits that do not say who it was."""
        return hmac.digest(self._secret, b"erased:" + user_id.encode(), hashlib.sha256).hex()[:32]

    def pseudonym(self, user_id: str) -> str:
        """The pseudonym of ``user_id``."""
        return str(uuid.UUID(bytes=hmac.digest(self._secret, b"user:" + user_id.encode(), hashlib.sha256)[:16], version=5))

    def user_id(self, user_id: str | None) -> str | None:
        """What is stored in place of ``user_id``; None when that is nothing."""
        if not user_id or self.kept is UserIdentity.NONE or (self.erased and self.mark(user_id) in self.erased):
            return None
        return user_id if self.kept is UserIdentity.PLAIN else self.pseudonym(user_id)

    @property
    def changes_nothing(self) -> bool:
        """Whether everything is stored as it came."""
        return self.kept is UserIdentity.PLAIN and not self.erased

    def applied(self, record: R) -> R:
        """``record`` with what may be stored of its user."""
        if isinstance(record, AgentReport):
            user_id = self.user_id(record.user_id)
            plain = self.kept is UserIdentity.PLAIN and user_id is not None
            return msgspec.structs.replace(record, user_id=user_id or NOBODY, username=record.username if plain else None)
        if isinstance(record, Workspace):
            return msgspec.structs.replace(record, owner_id=self.user_id(record.owner_id) or NOBODY)
        return record

    def forgotten(self, record: R) -> R:
        """``record``, which was made when less may have been erased, without users that are erased by now.

        What it names them by is left as it is kept: an id, or a pseudonym, each of which is marked.
        """
        if not self.erased:
            return record
        if isinstance(record, AgentReport) and self._is_erased(record.user_id):
            return msgspec.structs.replace(record, user_id=NOBODY, username=None)
        if isinstance(record, Workspace) and self._is_erased(record.owner_id):
            return msgspec.structs.replace(record, owner_id=NOBODY)
        if isinstance(record, TelemetryIntake):
            return msgspec.structs.replace(record, items=tuple(self._remaining(record.items)))
        return record

    def _remaining(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            if item.user_id is None or not self._is_erased(item.user_id):
                yield item
            elif item.kind is not InventoryKind.USER:
                yield msgspec.structs.replace(item, user_id=None)

    def _is_erased(self, user_id: str | None) -> bool:
        return bool(user_id) and self.mark(user_id or "") in self.erased
