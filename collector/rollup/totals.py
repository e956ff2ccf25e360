"""The running sums behind the exporter's counters, with the names they are labelled with. They only ever grow."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from collector.persist.tables import csp_totals, drop_totals, other_report_totals, projects
from collector.rollup.noise import matches


class CspTotal(msgspec.Struct, frozen=True, order=True):
    """Reports taken in by project, directive ("unknown" when it is not known), disposition and noise class ("none")."""

    project: str
    directive: str
    disposition: str
    noise_class: str
    count: int


class DropTotal(msgspec.Struct, frozen=True, order=True):
    """Reports dropped by project and ``DropReason``."""

    project: str
    reason: str
    count: int


class OtherReportTotal(msgspec.Struct, frozen=True, order=True):
    """Reports that are not about CSP, by project and type."""

    project: str
    type: str
    count: int


class Totals(NamedTuple):
    """All sums of one moment, each list ordered by its labels; ``matches`` are reports by noise rule, of all projects."""

    csp: list[CspTotal]
    drops: list[DropTotal]
    others: list[OtherReportTotal]
    matches: dict[str, int]


def totals(connection: Connection) -> Totals:
    """The sums as they are now; as many rows as there are combinations of labels."""
    named = projects.c.name
    by_directive = select(named, *list(csp_totals.c)[1:]).join_from(csp_totals, projects)
    by_reason = select(named, *list(drop_totals.c)[1:]).join_from(drop_totals, projects)
    by_type = select(named, *list(other_report_totals.c)[1:]).join_from(other_report_totals, projects)
    return Totals(
        csp=sorted(
            CspTotal(project, directive or "unknown", disposition, noise_class or "none", count)
            for project, directive, disposition, noise_class, count in connection.execute(by_directive)
        ),
        drops=sorted(DropTotal(*row) for row in connection.execute(by_reason)),
        others=sorted(OtherReportTotal(*row) for row in connection.execute(by_type)),
        matches=matches(connection).by_rule,
    )
