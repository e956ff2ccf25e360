"""Of several replicas that Prometheus scrapes, what all of them tell alike is counted once: judged by promtool."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from collector.serve.families import COLLECTED, Family
from tests.dashboards.boards import BUILT_IN, filled, questions
from tests.dashboards.test_rules import RECORDED, promtool

# What expressions ask for, and something else beside it.
VALUES = {
    "noise_class": ("none", "localhost"),
    "disposition": ("enforce", "report"),
    "state": ("open", "ignored"),
    "noise": ("false", "true"),
    "status": ("running", "failed", "building"),
    "percentile": ("50", "95"),
    "window": ("1h", "24h"),
    "ended": ("true", "false"),
    "failed": ("true", "false"),
    "kind": ("output", "cache_read_input"),
}
REPLICAS = ('instance="10.0.0.1:2112",pod="a"', 'instance="10.0.0.2:2112",pod="b"')
FAMILIES = {family.name: family for family in COLLECTED}
ALONE = "alone_"  # before the names of what one replica tells, with no other beside it


def told(family: Family) -> Iterator[dict[str, str]]:
    """Two replicas' series of a family, which grow alike, and those of one that is alone."""
    labels = [[f'{name}="{value}"' for value in VALUES.get(name, ("one", "two"))] for name in family.labels]
    for number, values in enumerate(product(*labels), start=1):
        for name, replica in ((family.name, REPLICAS[0]), (family.name, REPLICAS[1]), (ALONE + family.name, REPLICAS[0])):
            yield {"series": f"{name}{{{','.join([*values, replica])}}}", "values": f"{number}+{number}x60"}


def asked() -> list[str]:
    """Every expression about what all replicas tell, of boards and of rules."""
    chosen = BUILT_IN | {"__rate_interval": "5m", "__range": "30m", "__interval": "1m"}
    chosen |= dict.fromkeys(("project", "deployment"), "one|two")
    exprs = [filled(question.expr, chosen) for question in questions()] + [rule["expr"] for rule in RECORDED.values()]
    return [expr for expr in exprs if set(re.findall(r"collector_\w+", expr)) & FAMILIES.keys()]


def judged(exprs: list[str], place: Path) -> tuple[int, str]:
    """What promtool ends with and says when each of ``exprs`` is to answer of two replicas what it answers of one."""
    names = re.compile(rf"\b({'|'.join(FAMILIES)})\b")
    cases = []
    for expr in exprs:
        alone = names.sub(rf"{ALONE}\1", expr)
        alike = f"count(abs(({expr}) - ({alone})) < 1e-9)"  # additions in another order differ by less
        share = f"{alike} / (count({expr}) + count({alone}))"
        cases.append({"expr": share, "eval_time": "60m", "exp_samples": [{"labels": "{}", "value": 0.5}]})
    series = [each for family in COLLECTED for each in told(family)]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": cases}
    file = place / "replicas.yaml"
    file.write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}))  # JSON is YAML
    done = promtool("test", "rules", file)
    return done.returncode, done.stdout + done.stderr


def test_two_replicas_count_as_one(tmp_path: Path) -> None:
    """Every expression answers of two replicas what it answers of one, and answers something."""
    assert len(asked()) > 40
    status, said = judged(asked(), tmp_path)
    assert status == 0, said


def test_a_plain_sum_counts_twice(tmp_path: Path) -> None:
    """The test above finds an expression that adds up what all replicas tell alike."""
    status, said = judged(["sum(collector_deployment_sessions)"], tmp_path)
    assert (status, "sum(collector_deployment_sessions)" in said) == (1, True)
