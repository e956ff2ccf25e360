"""Violations and their buckets put straight into the tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from collector.persist.csp_ranks import first_rank
from collector.persist.tables import csp_days, csp_hours, csp_minutes, projects, violations

NOW = 1_768_384_800_000  # 2026-01-14T10:00:00Z
MINUTE = NOW // 60_000
BUCKETS: tuple[Table, ...] = (csp_minutes, csp_hours, csp_days)


def add_project(connection: Connection, name: str = "shop") -> int:
    """The id of a new project."""
    return int(connection.scalar(insert(projects).values(name=name, created_at=NOW).returning(projects.c.id)) or 0)


def add_violation(connection: Connection, project_id: int, fingerprint: str, **columns: Any) -> int:
    """The id of a new violation; ``columns`` replace what a blocked script on a shop has."""
    row: dict[str, Any] = {
        "fingerprint": fingerprint,
        "deployment": "d",
        "project_id": project_id,
        "effective_directive": "script-src-elem",
        "blocked_kind": "origin",
        "blocked_origin": "https://cdn.example.net",
        "blocked_key": "https://cdn.example.net",
        "document_origin": "https://shop.example.com",
        "disposition": "enforce",
        "first_seen": NOW - 86_400_000,
        "last_seen": NOW,
    }
    row |= columns
    rank = first_rank(max(row.get("count", 0), 1), row["last_seen"])._asdict() | {"ranked_count": row.get("count", 0)}
    return int(connection.scalar(insert(violations).values(rank | row).returning(violations.c.id)) or 0)


def add_bucket(
    connection: Connection, table: Table, violation_id: int, bucket: int, *, enforce: int = 1, report: int = 0
) -> None:
    """Reports of a violation in one span of ``table``; ``bucket`` is its first minute since the epoch."""
    connection.execute(insert(table).values(violation_id=violation_id, bucket=bucket, enforce=enforce, report=report))


def buckets(connection: Connection, table: Table) -> list[tuple[int, ...]]:
    """Every row of ``table``: violation, bucket, enforced, reported, unknown."""
    return [tuple(row) for row in connection.execute(select(*table.c).order_by(table.c.violation_id, table.c.bucket))]


def rows(connection: Connection, table: Table) -> int:
    """How many rows ``table`` has."""
    return connection.scalar(select(func.count()).select_from(table)) or 0
