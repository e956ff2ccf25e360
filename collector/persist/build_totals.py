"""Workspaces -> how many of their builds have ended: a sum that neither a restart nor a repeated message changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, select

from collector.persist.engine import insert
from collector.persist.tables import workspace_build_totals as table
from collector.persist.tables import workspaces
from collector.wire.records import Workspace

AT_ONCE = 500  # ids in one statement


class Ended(NamedTuple):
    """A build that has ended: whose it is, what it was to do, and whether it did."""

    deployment: str
    workspace_id: str
    transition: str
    succeeded: bool


def newly_ended(connection: Connection, ordered: Sequence[Workspace]) -> list[Ended]:
    """The ended builds that ``ordered`` (by deployment and id) tells of, and that are not known to have ended.

    To be called before the workspaces are stored: what is stored is what is known. Of a build that a newer one has already
    replaced nothing is known any more, so it is none of them.
    """
    with_ended = [workspace for workspace in ordered if workspace.latest_build and workspace.latest_build.job_completed_at]
    found: list[Ended] = []
    for deployment, of_one in groupby(with_ended, key=lambda workspace: workspace.deployment):
        some = list(of_one)
        known = _known(connection, deployment, sorted({workspace.id for workspace in some}))
        found += _unknown(some, known)
    return found


def add(connection: Connection, ended: Sequence[Ended]) -> None:
    """Count ``ended``; their workspaces must be stored."""
    if not ended:
        return
    counting = insert(connection.dialect.name, table)
    counting = counting.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={"count": table.c.count + counting.excluded.count}
    )
    rows = [{**build._asdict(), "count": count} for build, count in sorted(Counter(ended).items())]
    connection.execute(counting, rows)


def _known(connection: Connection, deployment: str, ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """The newest stored build of each workspace that has one, and whether it has ended."""
    column = workspaces.c
    known: dict[str, tuple[int, bool]] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = column.id.in_(ids[start : start + AT_ONCE])
        selected = select(column.id, column.build_number, column.job_completed_at).where(column.deployment == deployment, some)
        # Of two writers that bring the same at once, the second then sees what the first has stored.
        for id_, number, completed_at in connection.execute(selected.order_by(column.id).with_for_update()):
            if number is not None:
                known[id_] = number, completed_at is not None
    return known


def _unknown(some: Sequence[Workspace], known: dict[str, tuple[int, bool]]) -> Iterator[Ended]:
    for workspace in some:
        build = workspace.latest_build
        if build is None:
            continue
        number, has_ended = known.get(workspace.id, (-1, False))
        if build.build_number < number or (build.build_number == number and has_ended):
            continue
        known[workspace.id] = build.build_number, True
        succeeded = not build.job_error and build.job_canceled_at is None
        yield Ended(workspace.deployment, workspace.id, build.transition, succeeded)
