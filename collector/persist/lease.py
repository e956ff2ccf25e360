"""The lease of a name: one process holds it for a while, and what it writes is refused once another one does.

Each function is one transaction's work on a connection, the same on both databases. All times are of the database's clock, in
milliseconds: processes whose clocks differ agree on it.

What keeps a holder that was only paused from writing is the *epoch*, which rises with each change of holder, and a lock that
lives no longer than a transaction. A lock of a session would stay with a paused process, and a fence without any lock could be
passed just before a takeover and committed just after it. So on PostgreSQL a fenced transaction holds the row ``FOR KEY
SHARE``: renewing does not touch the key and goes on beside it, taking over asks ``FOR UPDATE`` and waits for its end. That a
holder paused in the middle of a transaction does not stretch the wait, its session is ended by the database as soon as it has
been idle there for a third of the lease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from collector.persist.engine import insert
from collector.persist.tables import leases

T = TypeVar("T")

_lease = leases.c
_COLUMNS = (_lease.holder, _lease.epoch, _lease.renewed_at, _lease.expires_at)


class NotLeader(RuntimeError):
    """The epoch has moved on, or the lease may have run out: nothing of the work was stored."""


class Claim(NamedTuple):
    """Who asks for which lease, and for how long. ``alone``: no other process can be alive that holds it."""

    name: str
    holder: str
    ttl_ms: int
    alone: bool = False


class Lease(NamedTuple):
    """A lease as it stands; ``now`` is when that was read, all times in ms by the database's clock."""

    holder: str
    epoch: int
    renewed_at: int
    expires_at: int
    now: int

    @property
    def is_held(self) -> bool:
        """Whether somebody held it when it was read."""
        return bool(self.holder) and self.expires_at > self.now


class _Now(FunctionElement[int]):
    """Milliseconds since the epoch as the database knows them when it comes to this place, not when the transaction began."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Now, "postgresql")
def _on_postgresql(_element: _Now, _compiler: Any, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(_Now, "sqlite")
def _on_sqlite(_element: _Now, _compiler: Any, **_: Any) -> str:
    return "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


def take(connection: Connection, claim: Claim) -> Lease:
    """The lease with an epoch of its own, if nobody else holds it; how it stands otherwise."""
    found = lease(connection, claim.name)
    if found is None:
        first = {"name": claim.name, "holder": "", "epoch": 0, "renewed_at": 0, "expires_at": 0}
        connection.execute(insert(connection.dialect.name, leases).on_conflict_do_nothing(), first)
    elif found.is_held and found.holder != claim.holder and not claim.alone:
        return found
    _let_go_when_idle(connection, claim)
    # It is looked at once more after the wait for a transaction of its holder, or of another one that takes it.
    free = [] if claim.alone else [or_(_lease.expires_at <= _Now(), _lease.holder == claim.holder)]
    epoch = connection.scalar(select(_lease.epoch).where(_lease.name == claim.name, *free).with_for_update())
    taken = None if epoch is None else _written(connection, claim, _lease.epoch == epoch, epoch=epoch + 1)
    return taken or _there(lease(connection, claim.name))


def renew(connection: Connection, claim: Claim, epoch: int) -> Lease | None:
    """The lease with its whole time before it; None when it has another epoch by now."""
    _let_go_when_idle(connection, claim)
    return _written(connection, claim, (_lease.epoch == epoch) & (_lease.holder == claim.holder), epoch=epoch)


def release(connection: Connection, claim: Claim, epoch: int) -> None:
    """Let go of the lease, if it is of this epoch still: whoever asks next has it."""
    mine = select(_lease.epoch).where(_lease.name == claim.name, _lease.epoch == epoch).with_for_update()
    if connection.scalar(mine) is not None:
        connection.execute(update(leases).where(_lease.name == claim.name).values(holder="", expires_at=_Now()))


def lease(connection: Connection, name: str) -> Lease | None:
    """The lease as it stands; None before anybody took it."""
    return _read(connection.execute(select(*_COLUMNS, _Now()).where(_lease.name == name)).first())


def fenced(connection: Connection, claim: Claim, epoch: int, work: Callable[[Connection], T]) -> T:
    """Do ``work`` as the holder of ``epoch``: nobody takes over before the transaction has ended.

    Raises:
        NotLeader: the epoch has moved on.
    """
    _let_go_when_idle(connection, claim)
    current = select(_lease.epoch).where(_lease.name == claim.name, _lease.epoch == epoch)
    if connection.scalar(current.with_for_update(read=True, key_share=True)) is None:
        raise NotLeader(f"epoch {epoch} of the lease {claim.name} is over")
    return work(connection)


def _let_go_when_idle(connection: Connection, claim: Claim) -> None:
    """Lock nobody out for long, should this process be paused before it commits. SQLite's lock goes with the process."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {max(claim.ttl_ms // 3, 1)}")


def _written(connection: Connection, claim: Claim, where: ColumnElement[bool], *, epoch: int) -> Lease | None:
    # The clock is asked after any wait for the row, so that a lease is never shorter than its holder believes.
    held = update(leases).where(_lease.name == claim.name, where).returning(*_COLUMNS, _Now())
    until = {"renewed_at": _Now(), "expires_at": _Now() + claim.ttl_ms}
    return _read(connection.execute(held.values(holder=claim.holder, epoch=epoch, **until)).first())


def _there(found: Lease | None) -> Lease:
    if found is None:
        raise NotLeader("the lease was deleted while it was asked for")
    return found


def _read(row: Row[Any] | None) -> Lease | None:
    return None if row is None else Lease._make(row)
