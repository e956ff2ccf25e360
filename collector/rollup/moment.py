"""Everything that is told of the deployments, read together: no two numbers of one scrape are of different moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from collector.persist.engine import used_bytes
from collector.rollup.aibridge_recent import Recent, recent_use
from collector.rollup.coder_metrics import CoderMoment, coder_moment
from collector.rollup.prices import PriceList
from collector.rollup.snapshot import Built, Snapshot
from collector.rollup.stored import Stored, stored
from collector.rollup.violation_counts import ViolationCounts, violation_counts


class Asked(NamedTuple):
    """What an operator has asked for: costs by a price list, and metrics under Coder's names."""

    prices: PriceList | None = None
    coder: bool = False


class Moment(NamedTuple):
    """The deployments at ``at`` (ms), as one transaction saw them; ``current`` answers when nobody names a deployment."""

    at: int
    snapshots: Sequence[Snapshot]
    current: Snapshot | None
    stored: Stored
    violations: ViolationCounts
    use: tuple[Recent, ...]
    store_bytes: int
    coder: CoderMoment  # without anything when it was not asked for


def moment(connection: Connection, built: Built, asked: Asked, *, now: int) -> Moment:
    """What there is beside the snapshots that ``connection`` has just ``built`` for ``now`` (ms), in the same transaction."""
    return Moment(
        at=now,
        snapshots=tuple(built.snapshots),
        current=next((snapshot for snapshot in built.snapshots if snapshot.deployment == built.default), None),
        stored=stored(connection, now=now),
        violations=violation_counts(connection, now=now),
        use=recent_use(connection, now=now, prices=asked.prices),
        store_bytes=used_bytes(connection),
        # No label of theirs tells deployments apart, so they are of one: the one that answers when nobody names one.
        coder=coder_moment(connection, built.default, now=now) if asked.coder else CoderMoment(),
    )
