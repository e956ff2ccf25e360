"""Reports that are not about CSP -> counts by type, samples, and the script inventory."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from collector.persist import scripts
from collector.persist.csp_statements import OTHER
from collector.persist.engine import insert
from collector.persist.statements import Statement
from collector.persist.tables import other_samples
from collector.wire.records import CspIntake, OtherReport

SLOTS_PER_TYPE = 10  # one of them has some 6 KB at the most, and usually 300 bytes


def store(connection: Connection, intakes: Sequence[CspIntake], *, refuse_new: bool) -> None:
    """Count what the ``intakes`` brought beside CSP, and keep some of it; ``refuse_new`` lets no inventory grow."""
    arrived = [(intake, report) for intake in intakes for report in intake.others]
    if not arrived:
        return
    counts = Counter((intake.project_id, report.type) for intake, report in arrived)
    # Sorted by key, here and below: two writers that lock the same rows in different orders deadlock on PostgreSQL.
    OTHER.execute_many(connection, [{"project_id": p, "type": kind, "count": n} for (p, kind), n in sorted(counts.items())])
    newest: dict[tuple[int, str, int], dict[str, Any]] = {}
    for row in (_row(intake, report) for intake, report in arrived):
        key = row["project_id"], row["type"], row["slot"]
        if key not in newest or row["seen_at"] >= newest[key]["seen_at"]:
            newest[key] = row
    SAMPLE.execute_many(connection, [newest[key] for key in sorted(newest)])
    scripts.store(
        connection,
        [(intake.project_id, intake.received_at - report.age_ms, report.script) for intake, report in arrived if report.script],
        refuse_new=refuse_new,
    )


def _row(intake: CspIntake, report: OtherReport) -> dict[str, Any]:
    return {
        "project_id": intake.project_id,
        "type": report.type,
        # By what it is about, so that a loud kind does not overwrite the quiet ones.
        "slot": zlib.crc32(report.about.encode()) % SLOTS_PER_TYPE,
        "seen_at": intake.received_at - report.age_ms,
        "document_uri": report.document_uri,
        "user_agent": report.user_agent,
        "body": msgspec.json.encode(dict(report.fields)).decode(),
    }


def _sample(dialect: str) -> Any:
    new = insert(dialect, other_samples)
    return new.on_conflict_do_update(
        index_elements=["project_id", "type", "slot"],
        set_={name: new.excluded[name] for name in ("seen_at", "document_uri", "user_agent", "body")},
        where=new.excluded.seen_at >= other_samples.c.seen_at,
    )


SAMPLE = Statement(_sample)
