"""The policies that a project's reports came under: a bounded number of them, each with its text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, select, update

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import csp_policies

POLICIES_PER_PROJECT = 200
STALE_MS = 24 * 3_600_000  # a policy that was not seen for so long makes room for another
PROJECTS_LIMIT = 500  # whose policies are remembered


class CspPolicies:
    """Which policies of each project are stored. A policy that finds no room has no row, and nothing is told by it."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, int]] = {}  # project -> hash -> when it was last received

    def admit(self, connection: Connection, project_id: int, policy: str, text: str, *, at: int) -> bool:
        """Whether the policy with that hash has a row, which is made if there is room."""
        known = self._known.get(project_id)
        if known is None:
            known = self._learn(connection, project_id)
        if policy not in known:
            if len(known) >= POLICIES_PER_PROJECT and not _forgot_stale(connection, project_id, known, at):
                return False
            POLICY.execute(
                connection, {"project_id": project_id, "hash": policy, "text": text, "first_seen": at, "last_seen": at}
            )
        known[policy] = at
        return True

    def forget(self) -> None:
        """Ask the store again: what was stored last may have been rolled back."""
        self._known.clear()

    def _learn(self, connection: Connection, project_id: int) -> dict[str, int]:
        if len(self._known) >= PROJECTS_LIMIT:
            self._known.clear()
        of_project = select(csp_policies.c.hash, csp_policies.c.last_seen).where(csp_policies.c.project_id == project_id)
        known = self._known[project_id] = {row.hash: row.last_seen for row in connection.execute(of_project)}
        return known


def _forgot_stale(connection: Connection, project_id: int, known: dict[str, int], at: int) -> bool:
    oldest = min(known, key=known.__getitem__)
    if at - known[oldest] < STALE_MS:
        return False
    del known[oldest]
    connection.execute(delete(csp_policies).where(csp_policies.c.project_id == project_id, csp_policies.c.hash == oldest))
    return True


def add_counts(connection: Connection, rows: Iterable[tuple[int, str, int, int]]) -> None:
    """Add to the counts of policies: (project, hash, reports, when the last was received)."""
    values = [{"of_project": project, "of_hash": policy, "n": n, "at": at} for project, policy, n, at in sorted(rows)]
    if values:
        COUNTED.execute_many(connection, values)


def _policy(dialect: str) -> Any:
    new = insert(dialect, csp_policies)
    later = case((new.excluded.last_seen > csp_policies.c.last_seen, new.excluded.last_seen), else_=csp_policies.c.last_seen)
    return new.on_conflict_do_update(index_elements=["project_id", "hash"], set_={"last_seen": later})


def _counted(_dialect: str) -> Any:
    columns = csp_policies.c
    at, n = bindparam("at", type_=columns.last_seen.type), bindparam("n", type_=columns.count.type)
    return (
        update(csp_policies)
        .where(columns.project_id == bindparam("of_project"), columns.hash == bindparam("of_hash"))
        .values(count=columns.count + n, last_seen=case((at > columns.last_seen, at), else_=columns.last_seen))
    )


POLICY = Statement(_policy)
COUNTED = Statement(_counted)
