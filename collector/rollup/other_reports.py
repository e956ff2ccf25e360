"""Reports that are not about CSP, as they are asked for: counts by project and type, and the samples kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, select

from collector.persist.tables import other_report_totals, other_samples, projects
from collector.wire.other_reports import OtherReports, OtherReportsPage, OtherSample

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def other_reports(connection: Connection, *, project: str | None = None, type_: str | None = None) -> OtherReportsPage:
    """Every project and type that was ever reported, or those of one ``project`` or one ``type_``.

    As large as labels are many: at most 15 types a project with 10 samples each.
    """
    sums, samples = other_report_totals.c, other_samples.c
    of_type = select(projects.c.name, sums.project_id, sums.type, sums.count).join_from(other_report_totals, projects)
    kept = select(other_samples).order_by(samples.seen_at.desc(), samples.slot)
    if project is not None:
        of_type = of_type.where(projects.c.name == project)
        kept = kept.where(samples.project_id.in_(select(projects.c.id).where(projects.c.name == project)))
    if type_ is not None:
        of_type, kept = of_type.where(sums.type == type_), kept.where(samples.type == type_)
    by_type: dict[tuple[int, str], list[OtherSample]] = {}
    for row in connection.execute(kept):
        sample = OtherSample(
            seen_at=EPOCH + timedelta(milliseconds=row.seen_at),
            document_uri=row.document_uri,
            user_agent=row.user_agent,
            body=msgspec.Raw(row.body.encode()),
        )
        by_type.setdefault((row.project_id, row.type), []).append(sample)
    results = [
        OtherReports(project=name, type=kind, count=count, samples=by_type.get((project_id, kind), []))
        for name, project_id, kind, count in connection.execute(of_type.order_by(projects.c.name, sums.type))
    ]
    return OtherReportsPage(count=len(results), results=results)
