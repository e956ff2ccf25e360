"""The policies that a project's reports came under: a bounded number of them, each with its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, select, update

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import csp_policies

POLICIES_PER_PROJECT = 200
STALE_MS = 24 * 3_600_000  # a policy that was not seen for so long makes room for another
PROJECTS_LIMIT = 500  # whose policies are remembered

Name = tuple[int, str]  # project, hash


class CspPolicies:
    """Which policies of each project have a row. One that finds no room has none, and nothing is told by it.

    Rows are written in the order of project and hash, in one go, before any facet: two processes that lock the same rows in
    different orders deadlock on PostgreSQL.
    """

    def __init__(self) -> None:
        self._known: dict[int, dict[str, int]] = {}  # project -> hash -> when it was last received
        self.leaving: set[Name] = set()  # what made room for others, and still has a row

    def admit(self, connection: Connection, project_id: int, policy: str, *, at: int) -> bool:
        """Whether the policy with that hash has a row, or gets one by the :meth:`count` of this transaction."""
        known = self._of(connection, project_id)
        while policy not in known and len(known) >= POLICIES_PER_PROJECT:
            oldest = min(known, key=known.__getitem__)
            if at - known[oldest] < STALE_MS:
                return False
            del known[oldest]
            self.leaving.add((project_id, oldest))
        known[policy] = at
        return True

    def count(self, connection: Connection, reports: Mapping[Name, int], texts: Mapping[str, str], *, at: int) -> None:
        """Add ``reports`` to the policies that were admitted, whose rows are made with ``texts`` (by hash) where they lack."""
        rows = []
        for (project_id, policy), n in sorted(reports.items()):
            known = self._of(connection, project_id)
            if policy in known:
                known[policy] = at
                row = {"project_id": project_id, "hash": policy, "text": texts[policy]}
                rows.append({**row, "count": n, "first_seen": at, "last_seen": at})
        if rows:
            POLICY.execute_many(connection, rows)
        if len(self._known) > PROJECTS_LIMIT:
            self._known.clear()

    def count_again(self, connection: Connection, reports: Mapping[Name, int], *, at: int) -> None:
        """Add ``reports`` to policies that may have lost their rows since: then there is nothing to count."""
        rows = []
        for (project_id, policy), n in sorted(reports.items()):
            rows.append({"of_project": project_id, "of_hash": policy, "n": n, "at": at})
            if policy in self._known.get(project_id, ()):
                self._known[project_id][policy] = at
        if rows:
            COUNTED.execute_many(connection, rows)

    def let_go(self, connection: Connection, *, at: int) -> None:
        """Remove the rows of those that made room, unless another process has received them since."""
        columns = csp_policies.c
        for project_id, policy in sorted(self.leaving):
            named = and_(columns.project_id == project_id, columns.hash == policy)
            connection.execute(delete(csp_policies).where(named, columns.last_seen <= at - STALE_MS))
        self.leaving.clear()

    def forget(self) -> None:
        """Ask the store again: what was stored last may have been rolled back."""
        self._known.clear()

    def _of(self, connection: Connection, project_id: int) -> dict[str, int]:
        known = self._known.get(project_id)
        if known is None:
            columns = csp_policies.c
            of_project = select(columns.hash, columns.last_seen).where(columns.project_id == project_id)
            known = self._known[project_id] = {row.hash: row.last_seen for row in connection.execute(of_project)}
        return known


def _policy(dialect: str) -> Any:
    new = insert(dialect, csp_policies)
    old, given = csp_policies.c, new.excluded
    later = case((given.last_seen > old.last_seen, given.last_seen), else_=old.last_seen)
    sums = {"count": old.count + given.count, "last_seen": later}
    return new.on_conflict_do_update(index_elements=["project_id", "hash"], set_=sums)


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
