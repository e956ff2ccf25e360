"""The running sums behind the exporter's counters, with the names they are labelled with. They only ever grow.

Of projects that are too many not every sum is told, but everything is in one: what is told apart of a project's reports is cut
by the order in which projects were made. Sums grow in number and never go, so a project goes from its own sums to coarser ones
once, and never back: no sum that is told ever falls, and the sums of a kind are together what they would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, func, select

from collector.persist.tables import csp_totals, drop_totals, other_report_totals, projects
from collector.rollup.noise import matches
from collector.rollup.pieces import pieces

MOST = 5_000  # sums of a kind that are told one by one, and as many coarser ones
OTHER = "other"


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


class Folded(NamedTuple):
    """How many sums of each kind are told in another one."""

    csp: int = 0
    drops: int = 0
    others: int = 0


class Totals(NamedTuple):
    """All sums of one moment, each list ordered by project and labels; ``matches`` are reports by noise rule, of all projects.

    Beyond the first projects a directive is "other", and beyond even more projects a project is: beside that of a project
    which is called so.
    """

    csp: list[CspTotal]
    drops: list[DropTotal]
    others: list[OtherReportTotal]
    matches: dict[str, int]
    folded: Folded = Folded()


def totals(connection: Connection, most: int = MOST) -> Totals:
    """The sums as they are now, a bounded number of them."""
    csp, csp_folded = _told(connection, csp_totals, ("disposition", "noise_class"), most)
    drops, drops_folded = _told(connection, drop_totals, ("reason",), most)
    others, others_folded = _told(connection, other_report_totals, ("type",), most)
    return Totals(
        csp=[
            CspTotal(project, directive or "unknown", disposition, noise_class or "none", count)
            for project, directive, disposition, noise_class, count in csp
        ],
        drops=[DropTotal(*row) for row in drops],
        others=[OtherReportTotal(*row) for row in others],
        matches=matches(connection).by_rule,
        folded=Folded(csp_folded, drops_folded, others_folded),
    )


def _told(connection: Connection, table: Table, coarse: Sequence[str], most: int) -> tuple[list[tuple[Any, ...]], int]:
    """Project, labels and count, and how many rows of ``table`` are in another; of ``coarse`` labels none is ever "other"."""
    project, *keys, count = table.c
    all_ = select(projects.c.name, *keys, count).join_from(table, projects).order_by(project, *keys)
    told = [tuple(row) for row in pieces(connection, all_.limit(most + 1))]
    if len(told) <= most:  # as nearly always: nothing has to be counted to know which are too many
        return told, 0
    of_each = select(project, func.count().label("sums")).group_by(project).order_by(project)
    told_apart = select(project, *(table.c[name] for name in coarse)).distinct().subquery()
    coarser_of_each = select(told_apart.c.project_id, func.count()).group_by(told_apart.c.project_id)
    sums = [(id_, number) for id_, number in connection.execute(of_each)]
    whole = _reached(sums, most)
    part = max(whole, _reached(connection.execute(coarser_of_each.order_by(told_apart.c.project_id)), most))

    labels = [key if key.name in coarse else None for key in keys]
    grouped = [label for label in labels if label is not None]
    coarser = select(projects.c.name, *grouped, func.sum(count)).join_from(table, projects)
    coarser = coarser.where(project > whole, project <= part).group_by(project, projects.c.name, *grouped)
    rest = select(*grouped, func.sum(count)).where(project > part).group_by(*grouped).order_by(*grouped)
    told = [tuple(row) for row in pieces(connection, all_.where(project <= whole))]
    told += [(name, *_spread(labels, row)) for name, *row in pieces(connection, coarser.order_by(project, *grouped))]
    told += [(OTHER, *_spread(labels, row)) for row in pieces(connection, rest)]
    return told, sum(number for _, number in sums) - len(told)


def _reached(sums: Iterable[Any], most: int) -> int:
    """The last project up to which all have at most ``most`` sums together; 0 when there is none."""
    reached = together = 0
    for project, number in sums:
        together += number
        if together > most:
            break
        reached = project
    return reached


def _spread(labels: Sequence[Any], row: Sequence[Any]) -> list[Any]:
    """``row`` of the labels that are told apart and a count, with the others' places filled."""
    *values, count = row
    told = iter(values)
    return [*(OTHER if label is None else next(told) for label in labels), int(count)]
