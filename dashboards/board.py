"""What a board is made of, without anything of Grafana's own: rows of panels, each with its questions to Prometheus."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Kind(enum.StrEnum):
    """How a panel shows its answer: over time, as one number, or as rows."""

    TIMESERIES = "timeseries"
    STAT = "stat"
    TABLE = "table"


class Query(NamedTuple):
    """A PromQL expression and how its series are called: ``{{label}}`` stands for a label's value."""

    expr: str
    legend: str


class Link(NamedTuple):
    """Where the values of a table's ``column`` lead; ``url`` may name variables and the row's fields as Grafana does."""

    column: str
    title: str
    url: str


class Panel(NamedTuple):
    """One panel. ``unit`` is an id of Grafana's; of the ``steps`` each is a value and the colour from there on."""

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.TIMESERIES
    unit: str = "short"
    width: int = 12  # of 24
    height: int = 8
    stacked: bool = False
    steps: tuple[tuple[float, str], ...] = ()
    links: tuple[Link, ...] = ()


class Row(NamedTuple):
    """Panels under a heading, from left to right and then below."""

    title: str
    panels: tuple[Panel, ...]


class Variable(NamedTuple):
    """A choice at the top of a board: the values that the label ``name`` has in the series of ``selector``, any number of them.

    One that is ``hidden`` is nobody's choice, and has one value: for links.
    """

    name: str
    label: str
    selector: str
    hidden: bool = False


class Board(NamedTuple):
    """One dashboard; links and bookmarks name it by its ``uid``, which stays for good."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()


def once(expr: str) -> str:
    """``expr`` of what every replica tells alike, counted once however many of them Prometheus scrapes."""
    return f"max without (instance, pod) ({expr})"


def over_time(
    title: str, description: str, *queries: tuple[str, str], unit: str = "short", stacked: bool = False, width: int = 12
) -> Panel:
    """A panel of curves."""
    return Panel(title, description, tuple(Query(*query) for query in queries), unit=unit, stacked=stacked, width=width)


def number(
    title: str, description: str, expr: str, *, unit: str = "short", steps: tuple[tuple[float, str], ...] = (), width: int = 4
) -> Panel:
    """A panel of one number, as it is now."""
    return Panel(title, description, (Query(expr, title),), Kind.STAT, unit, width, 4, steps=steps)


def table(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    width: int = 12,
    height: int = 8,
    links: tuple[Link, ...] = (),
) -> Panel:
    """A panel of rows, one a series, as they are now."""
    return Panel(title, description, (Query(expr, title),), Kind.TABLE, unit, width, height, links=links)
