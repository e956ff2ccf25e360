"""The script inventory as it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from collector.persist.tables import csp_scripts, projects
from collector.wire.scripts import ScriptPage, ScriptQuery, StoredScript

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scripts(connection: Connection, query: ScriptQuery) -> ScriptPage:
    """One page of the scripts that match ``query``, in the order in which they were first reported."""
    stored = csp_scripts.c
    matching = select(projects.c.name.label("project"), csp_scripts).join_from(csp_scripts, projects)
    if query.project:
        matching = matching.where(projects.c.name == query.project)
    count = connection.scalar(select(func.count()).select_from(matching.subquery())) or 0
    page = matching.where(stored.id > query.after).order_by(stored.id).limit(query.limit + 1)
    rows = connection.execute(page).mappings().all()
    shown = rows[: query.limit]
    results = [
        StoredScript(
            project=row["project"],
            document_origin=row["document_origin"],
            url=row["url"],
            hash=row["hash"],
            type=row["type"],
            destination=row["destination"],
            count=row["count"],
            first_seen=EPOCH + timedelta(milliseconds=row["first_seen"]),
            last_seen=EPOCH + timedelta(milliseconds=row["last_seen"]),
        )
        for row in shown
    ]
    return ScriptPage(count=count, results=results, next=shown[-1]["id"] if len(rows) > query.limit else None)
