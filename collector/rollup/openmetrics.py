"""Stored snapshots as OpenMetrics text with times, for what makes blocks of Prometheus out of it.

The series have the names and labels of the exporter, and one label more: ``source``. Each moment is told by the finest rows
that there are: snapshots, then points of five minutes, then of an hour. A point tells its last snapshot at that snapshot's
time; what it knows beside it, its extremes, are series of their own, which end in ``_min`` and ``_max``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select

from collector.persist.history_tables import MEASURES, Measure
from collector.rollup.tiers import HOURS, MINUTES, RAW, Tier

PREFIX = "collector_deployment_"
ENDS = ("", "_min", "_max")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Piece(NamedTuple):
    """A stretch of a series that rows of one resolution tell."""

    tier: Tier
    condition: ColumnElement[bool]


class Series(NamedTuple):
    """All that a source says of a deployment, oldest piece first."""

    deployment: str
    source: str
    pieces: Sequence[Piece]


def openmetrics(connection: Connection, *, since: int, until: int, labels: Mapping[str, str]) -> Iterator[str]:
    """The lines of what was stored in ``[since, until)`` (ms), with ``labels`` on every series; one family after the other."""
    every = [_series(connection, *key, since=since, until=until) for key in _sources(connection)]
    families: dict[str, list[Measure]] = {}
    for measure in MEASURES:
        families.setdefault(_family(measure)[0], []).append(measure)
    for name, measures in families.items():
        for end in ENDS:
            yield f"# TYPE {PREFIX}{name}{end} gauge\n"
            for measure in measures:
                for series in every:
                    yield from _samples(connection, series, measure, end, labels)
    yield "# EOF\n"


def _sources(connection: Connection) -> list[tuple[str, str]]:
    table = HOURS.table.c  # whatever was stored is in an hour
    found = select(table.deployment, table.source).distinct().order_by(table.deployment, table.source)
    return [(deployment, source) for deployment, source in connection.execute(found)]


def _series(connection: Connection, deployment: str, source: str, *, since: int, until: int) -> Series:
    """Cut where a finer resolution begins, at an end of the coarser one's rows, so that nothing is told twice."""
    pieces: list[Piece] = []
    for tier, coarser in ((RAW, MINUTES), (MINUTES, HOURS), (HOURS, None)):
        columns = tier.table.c
        time = columns[tier.time]
        own = and_(columns.deployment == deployment, columns.source == source)
        begin = 0
        if coarser is not None:
            first = connection.scalar(select(func.min(time)).where(own))
            begin = until if first is None else _cut(connection, deployment, source, coarser, first)
        told = and_(own, time >= max(begin, since), time < until)
        pieces.insert(0, Piece(tier, told))
        until = min(until, begin)
    return Series(deployment, source, pieces)


def _cut(connection: Connection, deployment: str, source: str, coarser: Tier, first: int) -> int:
    """Where rows that begin with ``first`` take over: at once when no coarser one is older, else after the one it lies in."""
    columns = coarser.table.c
    own = and_(columns.deployment == deployment, columns.source == source)
    oldest = connection.scalar(select(func.min(columns[coarser.time])).where(own))
    span = coarser.span_ms
    return first if oldest is None or oldest + span > first else -(-first // span) * span


def _samples(connection: Connection, series: Series, measure: Measure, end: str, labels: Mapping[str, str]) -> Iterator[str]:
    family, own = _family(measure)
    shown = {**own, "deployment": series.deployment, "source": series.source, **labels}
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in shown.items())
    head = f"{PREFIX}{family}{end}{{{pairs}}}"
    scale = 1000 if measure.kind == "percentile" else 1
    for tier, condition in series.pieces:
        if end and not tier.span_ms:
            continue  # a snapshot has no extremes beside itself
        columns = tier.table.c
        asked = select(columns.collected_at, columns[measure.column + end]).where(condition).order_by(columns[tier.time])
        for at, value in connection.execute(asked):
            if value is not None and value >= 0:  # -1: no latency was seen
                yield f"{head} {value / scale if scale > 1 else value} {at // 1000}.{at % 1000:03}\n"


def _family(measure: Measure) -> tuple[str, dict[str, str]]:
    """The name and the labels that the exporter gives it."""
    column = measure.column
    if measure.kind == "percentile":
        return "connection_latency_seconds", {"percentile": column.split("_")[2].removeprefix("p")}
    if measure.kind == "window_sum":
        return column, {}
    app = column.removeprefix("session_count_")
    return ("workspaces", {"status": column}) if app == column else ("sessions", {"app": app})


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
