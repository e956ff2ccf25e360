"""Which projects a member may read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from collector.persist.tables import project_members, users


def projects_of(connection: Connection, user_id: str) -> frozenset[int]:
    """The ids of the projects that a user was named for."""
    columns = project_members.c
    return frozenset(connection.scalars(select(columns.project_id).where(columns.user_id == user_id)))


def members_of(connection: Connection, project_id: int) -> list[str]:
    """The names of the users who were named for a project."""
    named = select(users.c.username).join_from(project_members, users).where(project_members.c.project_id == project_id)
    return list(connection.scalars(named.order_by(users.c.username)))


def members_by_project(connection: Connection) -> dict[int, list[str]]:
    """The same of every project that has any, in one statement; names in order."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    named = select(project_members.c.project_id, users.c.username).join_from(project_members, users)
    for project_id, name in connection.execute(named.order_by(users.c.username)):
        found[project_id].append(name)
    return found


def set_members(connection: Connection, project_id: int, user_ids: Sequence[str]) -> None:
    """Let these users, and no other members, read a project."""
    connection.execute(delete(project_members).where(project_members.c.project_id == project_id))
    if user_ids:
        rows = [{"user_id": user_id, "project_id": project_id} for user_id in sorted(set(user_ids))]
        connection.execute(insert(project_members), rows)
