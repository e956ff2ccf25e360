"""The tables of the history: snapshots folded into points, where they come from, and counts of workspaces by group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, Table, Text

from collector.persist.tables import metadata

Kind = Literal["gauge", "window_sum", "percentile"]


class Measure(NamedTuple):
    """One number of a snapshot: its column there, and what may be done with it."""

    column: str
    kind: Kind


MEASURES = (
    *(Measure(state, "gauge") for state in ("pending", "building", "running", "failed", "stopped")),
    Measure("connection_latency_p50_ms", "percentile"),
    Measure("connection_latency_p95_ms", "percentile"),
    Measure("rx_bytes", "window_sum"),
    Measure("tx_bytes", "window_sum"),
    *(Measure(f"session_count_{app}", "gauge") for app in ("vscode", "ssh", "jetbrains", "reconnecting_pty")),
)


def _numbers(*names: str) -> Iterator[Column[int]]:
    return (Column(name, BigInteger, nullable=False) for name in names)


def _measured(measure: Measure) -> Iterator[Column[int] | Column[float]]:
    """The last value and its extremes; of a gauge also the average. The extremes of a percentile leave "none seen" out."""
    name, kind = measure
    seen_only = kind == "percentile"
    number = Double if seen_only else BigInteger
    yield Column(name, number, nullable=False)
    yield Column(f"{name}_min", number, nullable=seen_only)
    yield Column(f"{name}_max", number, nullable=seen_only)
    if kind == "gauge":
        yield Column(f"{name}_avg", Double, nullable=False)


def _points(name: str) -> Table:
    """Snapshots of a deployment and a source, summed up over one span of time that begins at ``at``."""
    return Table(
        name,
        metadata,
        Column("deployment", Text, primary_key=True),
        Column("at", BigInteger, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("samples", Integer, nullable=False),
        *_numbers("aggregated_from", "collected_at", "next_update_at"),  # of the last one
        *(column for measure in MEASURES for column in _measured(measure)),
        Index(f"ix_{name}_at", "at"),  # for retention
        sqlite_with_rowid=False,
    )


history_minutes = _points("history_minutes")  # one row each 5 minutes, COLLECTOR_HISTORY_MINUTES_RETENTION (90 d)
history_hours = _points("history_hours")  # one row an hour, COLLECTOR_HISTORY_HOURS_RETENTION (5 years)
history_days = _points("history_days")  # one row a UTC day, as long as the hours: years are read in a moment

# One row a deployment and source of snapshots (at most three); goes with the last of its hours.
snapshot_sources = Table(
    "snapshot_sources",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("last_success_at", BigInteger, nullable=False, index=True),  # by our clock
    Column("version", Text),  # of the server that was asked
    sqlite_with_rowid=False,
)

# One row a group of workspaces (at most 102 a deployment) and hour, COLLECTOR_HISTORY_MINUTES_RETENTION (90 d).
workspace_groups = Table(
    "workspace_groups",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("organization", Text, primary_key=True),
    Column("template", Text, primary_key=True),
    Column("prebuilt", Boolean, primary_key=True),
    *_numbers("counted_at", "pending", "building", "running", "failed", "stopped", "total"),  # of the hour's last count
    *_numbers("running_max", "total_max"),
    Index("ix_workspace_groups_at", "at"),  # for retention, and for what there is now
    sqlite_with_rowid=False,
)
