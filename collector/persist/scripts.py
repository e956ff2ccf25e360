"""The script inventory: which scripts the pages of a project load, by their ``csp-hash`` reports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, case, func, select

from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import csp_scripts
from collector.wire.records import Script

SCRIPTS_PER_PROJECT = 5_000
OVERFLOW = Script(None, None, hash="", type="overflow", destination="")

_HEX_DIGITS = 32

Sighting = tuple[int, int, Script]  # project id, when, what


def store(connection: Connection, sightings: Sequence[Sighting], *, refuse_new: bool) -> None:
    """Count each sighting at its script. What has no room of its own is counted at ``OVERFLOW``, so that counts add up."""
    rows: dict[str, dict[str, Any]] = {}
    for project_id, seen, script in sightings:
        _add(rows, _row(project_id, seen, seen, script, 1))
    if rows:
        _overflow(connection, rows, refuse_new=refuse_new)
        SCRIPT.execute_many(connection, [rows[name] for name in sorted(rows)])


def _overflow(connection: Connection, rows: dict[str, dict[str, Any]], *, refuse_new: bool) -> None:
    """Move what is new and has no room into its project's row for that."""
    new = rows.keys() - _stored(connection, rows)
    for project_id in sorted({rows[name]["project_id"] for name in new}):
        own = sorted(name for name in new if rows[name]["project_id"] == project_id)
        for name in own[0 if refuse_new else _room(connection, project_id) :]:
            row = rows.pop(name)
            _add(rows, _row(project_id, row["first_seen"], row["last_seen"], OVERFLOW, row["count"]))


def _room(connection: Connection, project_id: int) -> int:
    """How many more scripts the project may have."""
    of_project = select(func.count()).select_from(csp_scripts).where(csp_scripts.c.project_id == project_id)
    return max(0, SCRIPTS_PER_PROJECT - (connection.scalar(of_project) or 0))


def _stored(connection: Connection, fingerprints: Iterable[str]) -> set[str]:
    # At most 1,000 entries a body, and a batch of bodies: in chunks, for SQLite's limit on variables.
    wanted, found = sorted(fingerprints), set[str]()
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        found.update(connection.scalars(select(csp_scripts.c.fingerprint).where(csp_scripts.c.fingerprint.in_(chunk))))
    return found


def _add(rows: dict[str, dict[str, Any]], row: dict[str, Any]) -> None:
    known = rows.setdefault(row["fingerprint"], row)
    if known is not row:
        known["count"] += row["count"]
        known["first_seen"] = min(known["first_seen"], row["first_seen"])
        known["last_seen"] = max(known["last_seen"], row["last_seen"])


def _row(project_id: int, first_seen: int, last_seen: int, script: Script, count: int) -> dict[str, Any]:
    named = msgspec.structs.asdict(script)
    name = hashlib.sha256(msgspec.json.encode([project_id, *named.values()])).hexdigest()[:_HEX_DIGITS]
    times = {"first_seen": first_seen, "last_seen": last_seen}
    return {"project_id": project_id, "fingerprint": name, **named, **times, "count": count}


def _script(dialect: str) -> Any:
    new = insert(dialect, csp_scripts)
    old, given = csp_scripts.c, new.excluded
    return new.on_conflict_do_update(
        index_elements=["fingerprint"],
        set_={
            "count": old.count + given.count,
            "first_seen": case((given.first_seen < old.first_seen, given.first_seen), else_=old.first_seen),
            "last_seen": case((given.last_seen > old.last_seen, given.last_seen), else_=old.last_seen),
        },
    )


SCRIPT = Statement(_script)
