"""A history as flat rows, for programs that draw tables: JSON for Grafana's Infinity source, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from collector.rollup.history import KINDS
from collector.wire.deployment import StatsHistory, StatsPoint

Row = Mapping[str, int | float | str | None]

FLAT = {name: name.replace(".", "_") for name in KINDS}
COLUMNS = (
    "time",
    "source",
    "samples",
    "expected",
    *(f"{FLAT[name]}{end}" for name in KINDS for end in ("", "_min", "_max")),
    *(f"{FLAT[name]}_avg" for name, kind in KINDS.items() if kind == "gauge"),
)


def rows(history: StatsHistory) -> Iterator[Row]:
    """One row a point, with all of ``COLUMNS``: ``time`` in ms since the epoch; in a gap every number but ``samples`` null.

    A number without an end is of the step's last snapshot; a latency is null when none was seen.
    """
    for point in history.points:
        row: dict[str, int | float | str | None] = dict.fromkeys(COLUMNS)
        row |= {"time": _milliseconds(point.at), "source": point.source, "samples": point.samples, "expected": point.expected}
        row |= {FLAT[name]: value for name, value in _last(point)}
        for end, values in (("min", point.min), ("max", point.max), ("avg", point.avg)):
            row |= {f"{FLAT[name]}_{end}": value for name, value in (values or {}).items()}
        yield row


def csv_text(history: StatsHistory) -> str:
    """The same rows as CSV (RFC 4180) under a line of their names; null is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(row.values() for row in rows(history))
    return text.getvalue()


def _last(point: StatsPoint) -> Iterator[tuple[str, int | float | None]]:
    if point.stats is None:
        return
    stats: dict[str, Any] = {
        "workspaces": msgspec.structs.asdict(point.stats.workspaces),
        "session_count": msgspec.structs.asdict(point.stats.session_count),
    }
    stats["workspaces"]["connection_latency_ms"] = msgspec.structs.asdict(point.stats.workspaces.connection_latency_ms)
    for name, kind in KINDS.items():
        value: Any = stats
        for key in name.split("."):
            value = value[key]
        yield name, None if kind == "percentile" and value < 0 else value


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)
