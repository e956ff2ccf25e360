"""Boards as the JSON that Grafana loads. Tests validate it against Grafana's own schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dashboards.board import Board, Kind, Link, Panel, Query, Variable

DATASOURCE = {"type": "prometheus", "uid": "collector-prometheus"}
SCHEMA_VERSION = 39  # of Grafana 10.2: newer ones migrate it by themselves
TAG = "collector"
WIDTH = 24

OPTIONS: dict[Kind, dict[str, Any]] = {
    Kind.TIMESERIES: {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    Kind.STAT: {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "value",
        "wideLayout": True,
    },
    Kind.TABLE: {"frameIndex": 0, "showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": "Value", "desc": True}]},
}


def text(board: Board) -> str:
    """The file of a board."""
    return json.dumps(dashboard(board), indent=2, ensure_ascii=False) + "\n"


def dashboard(board: Board) -> dict[str, Any]:
    """The board as Grafana has it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # the crosshair is the same in all panels
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "timezone": "browser",
        "links": [_other_boards()],
        "templating": {"list": [_variable(variable) for variable in board.variables]},
        "panels": list(_panels(board)),
    }


def _other_boards() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "Collector",
        "tooltip": "The other boards, over the same time",
        "tags": [TAG],
        "icon": "external link",
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.selector}, {variable.name})"
    chosen: dict[str, Any] = {"multi": True, "includeAll": True, "current": {"text": ["All"], "value": ["$__all"]}}
    if variable.hidden:
        chosen = {"multi": False, "includeAll": False, "hide": 2}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,  # whenever the time changes
        "sort": 1,
        **chosen,
    }


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    """Rows and panels with their numbers and places: as many beside each other as fit."""
    number = y = 0
    for row in board.rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(0, y, WIDTH, 1),
        }
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            yield _panel(panel, number, _place(x, y, panel.width, panel.height))
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    shown = {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": DATASOURCE,
        "targets": [_target(query, chr(ord("A") + at), panel.kind) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [_link(link) for link in panel.links]},
        "options": OPTIONS[panel.kind],
    }
    if panel.kind is Kind.TABLE:
        shown["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]
    return shown


def _link(link: Link) -> dict[str, Any]:
    value = [{"title": link.title, "url": link.url, "targetBlank": True}]
    return {"matcher": {"id": "byName", "options": link.column}, "properties": [{"id": "links", "value": value}]}


def _target(query: Query, name: str, kind: Kind) -> dict[str, Any]:
    now = kind is not Kind.TIMESERIES
    return {
        "refId": name,
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": now,
        "range": not now,
        "format": "table" if kind is Kind.TABLE else "time_series",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "text" if panel.kind is Kind.STAT else "green", "value": None}]
    steps += [{"color": color, "value": value} for value, color in panel.steps]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind is Kind.TIMESERIES:
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    return defaults
