"""The dashboards are what their source says, and what Grafana takes."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from collector.routes import ROUTES
from collector.serve.families import COLLECTED
from collector.serve.metrics_reference import reference
from dashboards.__main__ import BOARDS as SOURCES
from dashboards.grafana import DATASOURCE, TAG, text
from tests.dashboards.boards import BOARDS, BUILT_IN, DIRECTORY, filled, panels, questions

SCHEMAS = Path(__file__).parent / "schemas"
# Ids from Grafana's list of units, as far as we use them.
UNITS = {"short", "percentunit", "reqps", "ops", "s", "bytes", "Bps", "dtdurations", "dateTimeFromNow", "none"}

ALL = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_bytes())
    return loaded


def test_the_files_are_what_the_source_says() -> None:
    """``python -m dashboards`` would change no file, and leave none over."""
    made = {f"{board.uid}.json": text(board) for board in SOURCES}

    assert {file.name: file.read_text() for file in DIRECTORY.iterdir()} == made


@ALL
def test_grafana_takes_the_board(board: dict[str, Any]) -> None:
    """The board, and the options of each panel, follow Grafana's schemas."""
    jsonschema.validate(board, schema("dashboard"))
    for panel in panels(board):
        jsonschema.validate(panel["options"], schema(panel["type"]))


def test_the_schema_finds_what_is_wrong() -> None:
    """A key that Grafana does not know is no board."""
    board = json.loads(json.dumps(next(iter(BOARDS.values()))))
    board["panels"][1]["gridPosition"] = board["panels"][1].pop("gridPos")

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(board, schema("dashboard"))


@ALL
def test_panels_lie_beside_each_other(board: dict[str, Any]) -> None:
    """Each panel has a number of its own and a place that no other overlaps."""
    places = [panel["gridPos"] for panel in board["panels"]]

    assert max(Counter(panel["id"] for panel in board["panels"]).values()) == 1
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert [(one, other) for one, other in combinations(places, 2) if _overlap(one, other)] == []


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or below)


@ALL
def test_panels_say_what_they_show(board: dict[str, Any]) -> None:
    """Every panel has a title, a description that is a sentence, a unit of Grafana's, and targets with names and legends."""
    for panel in panels(board):
        assert panel["title"]
        assert re.fullmatch(r"[A-Z0-9].*\.", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"] == DATASOURCE
        assert [target["refId"] for target in panel["targets"]] == [chr(65 + at) for at in range(len(panel["targets"]))]
        assert all(
            target["datasource"] == DATASOURCE and target["expr"] and target["legendFormat"] for target in panel["targets"]
        )


def links(board: dict[str, Any]) -> list[str]:
    """The addresses that values of a board's tables lead to."""
    overrides = [override for panel in panels(board) for override in panel["fieldConfig"]["overrides"]]
    return [link["url"] for override in overrides for value in override["properties"] for link in value["value"]]


def test_a_violation_is_one_step_away() -> None:
    """The fingerprints of the top violations lead to the page of each, at the address that the collector itself gives."""
    board = BOARDS["collector-csp"]
    (hidden,) = [variable for variable in board["templating"]["list"] if variable.get("hide")]

    assert hidden["query"]["query"] == "label_values(collector_build_info, dashboard_url)"
    assert links(board) == ["${dashboard_url:raw}/csp/violations/${__data.fields.fingerprint}"]
    assert "/csp/violations/{id}" in {route.path for route in ROUTES}
    (asked,) = [question.expr for question in questions() if question.panel == "Top violations"]
    assert "sum by (project, directive, blocked_kind, fingerprint)" in asked


@ALL
def test_variables_are_used_and_exist(board: dict[str, Any]) -> None:
    """Every variable that an expression or a link names is the board's own or Grafana's, and each of the board's is used."""
    own = {variable["name"] for variable in board["templating"]["list"]}
    exprs = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    named = {name for text in [*exprs, *links(board)] for name in re.findall(r"\$\{?(\w+)", text)}

    assert named <= own | set(BUILT_IN) | {"__data"}
    assert own <= named
    assert {variable["datasource"]["uid"] for variable in board["templating"]["list"]} <= {DATASOURCE["uid"]}


@ALL
def test_boards_lead_to_each_other(board: dict[str, Any]) -> None:
    """Each board links to all that bear the tag, keeps time and choices, and bears the tag itself."""
    assert board["tags"] == [TAG]
    assert [(link["tags"], link["keepTime"], link["includeVars"]) for link in board["links"]] == [([TAG], True, True)]


def test_every_metric_is_one_of_ours() -> None:
    """No expression names a metric that docs/metrics.md does not describe."""
    described = set(re.findall(r"^\| `(collector_\w+)`", reference(), re.MULTILINE))
    named = {name for question in questions() for name in re.findall(r"\bcollector_\w+", question.expr)}

    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= described


def test_longer_names_are_replaced_first() -> None:
    """A variable whose name begins with another's keeps its own value."""
    assert filled("[$__range] * $__range_s", BUILT_IN) == "[60s] * 60"


def test_the_choice_of_deployments_is_kept() -> None:
    """On the board of deployments all that has the label is of the chosen ones."""
    labels = {family.name: family.labels for family in COLLECTED}
    for question in questions():
        if question.board == "collector-deployment":
            named = re.findall(r"\b(collector_\w+)(?:\{(.*?)\})?", question.expr)
            told = [(name, chosen) for name, chosen in named if "deployment" in labels.get(name, ())]
            assert [name for name, chosen in told if 'deployment=~"$deployment"' not in chosen] == [], question.name
