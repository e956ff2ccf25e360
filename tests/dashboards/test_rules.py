"""The alert and recording rules: each is tested by promtool, says what to do, and has its section in the runbooks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.serve.metrics_reference import reference
from tests.requirements import program
from tests.service import ROOT

RULES = ROOT / "dashboards/rules"
FILES = sorted(RULES.glob("*.yaml"))
CASES = sorted((RULES / "tests").glob("*.yaml"))
EVERY = [rule for file in FILES for group in yaml.safe_load(file.read_bytes())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in EVERY if "record" in rule}
ANNOTATIONS = {"summary", "description", "runbook", "runbook_url"}
RUNBOOKS = "docs/runbooks.md"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=110)


def asked() -> list[dict[str, Any]]:
    """Every question of every case."""
    tests = [test for file in CASES for test in yaml.safe_load(file.read_bytes())["tests"]]
    return [question for test in tests for question in test.get("promql_expr_test", [])]


def test_prometheus_takes_the_rules() -> None:
    """The rules are well-formed, to the last expression and template."""
    checked = promtool("check", "rules", *FILES)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_the_rules_do_what_their_cases_say() -> None:
    """Every case comes out as it says."""
    tested = promtool("test", "rules", *CASES)

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("> 50", "> 60"),
        ("for: 15m", "for: 1h"),
        (">= 20", ">= 2"),
        ("[5m]) > 2", "[5m]) > 9"),
        ("172800", "604800"),
        ('reason!="stopping"', 'reason!=""'),
        (" or vector(0)) == 0", ") == 0"),
    ],
)
def test_a_changed_rule_is_noticed(tmp_path: Path, rule: str, changed: str) -> None:
    """With another threshold, another patience or another selector, some case fails."""
    shutil.copytree(RULES, tmp_path / "rules")
    alerts = tmp_path / "rules/alerts.yaml"
    alerts.write_text(alerts.read_text().replace(rule, changed))

    cases = [tmp_path / "rules/tests" / file.name for file in CASES]
    assert any(promtool("test", "rules", case).returncode == 1 for case in cases)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_cases_of_both_kinds(name: str) -> None:
    """Some case makes it fire, and some does not."""
    mine = [question["exp_samples"] != [] for question in asked() if f'alertname="{name}"' in question["expr"]]

    assert set(mine) == {True, False}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_value_has_a_case(name: str) -> None:
    """Some case says what is recorded."""
    assert any(question["exp_samples"] for question in asked() if question["expr"] == name)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    """It has a severity, says what is wrong and what to do, and links to its own section of the runbooks."""
    alert = ALERTS[name]

    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["annotations"].keys() == ANNOTATIONS
    assert all(alert["annotations"].values())
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"


def test_the_runbooks_are_those_of_the_alerts() -> None:
    """docs/runbooks.md has one section for each alert, in the order of the rules, and no other."""
    assert re.findall(r"^## (.+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE) == list(ALERTS)


def test_every_metric_of_a_rule_exists() -> None:
    """A rule asks for what the exporter has, for what another rule records, or for what Prometheus itself says."""
    described = set(re.findall(r"^\| `(collector_\w+)`", reference(), re.MULTILINE))
    named = {name for rule in EVERY for name in re.findall(r"\b(?:\w+:)?collector_\w+(?::\w+)?", rule["expr"])}

    assert {name for name in named if ":" not in name} <= described
    assert {name for name in named if ":" in name} <= RECORDED.keys()
