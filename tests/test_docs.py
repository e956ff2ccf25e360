"""What the documents name is what the service has, and nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.config.options import OPTIONS
from collector.config.reference import reference as config_reference
from collector.routes import ROUTES
from collector.serve.metrics_reference import reference as metrics_reference
from collector.serve.reference import reference as api_reference
from tests.inside import running
from tests.serve.state import ready

ROOT = Path(__file__).resolve().parent.parent


async def test_metrics_are_those_of_the_exporter(tmp_path: Path) -> None:
    """docs/metrics.md names every metric of a running service with its type, and no other."""
    async with running("sqlite", tmp_path, COLLECTOR_CODER_METRICS="true") as inside:
        await ready(inside)
        await inside.roll_up()
        async with inside.client.get(inside.prometheus_url) as response:
            exported = re.findall(r"^# TYPE (collector_\w+) (\w+)$", await response.text(), re.MULTILINE)

    documented = re.findall(r"^\| `(collector_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)

    # The client adds a family of creation times for each of its own counters, unless `serve` turned them off.
    assert sorted(documented) == sorted((name, kind) for name, kind in exported if not name.endswith("_created"))


def test_the_metrics_are_documented_as_they_are() -> None:
    """docs/metrics.md is what ``collector metrics docs`` prints: every family with its labels and their values."""
    assert (ROOT / "docs/metrics.md").read_text() == metrics_reference()


def test_the_api_is_documented_as_it_is() -> None:
    """docs/api.md is what ``collector api docs`` prints: every route of ROUTES, every parameter, every scope."""
    assert (ROOT / "docs/api.md").read_text() == api_reference(ROUTES)


def test_the_options_are_documented_as_they_are() -> None:
    """docs/configuration.md is what ``collector config docs`` prints: every option, its default, and whether it acts."""
    assert (ROOT / "docs/configuration.md").read_text() == config_reference()


def test_options_have_the_documented_defaults() -> None:
    """Each option in the README's table is in the catalogue, with that default."""
    rows = re.findall(r"^\| `(C[A-Z_]+)` \| (?:`([^`]*)`)? ?\|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert rows
    assert dict(rows) == {option.env: option.default for option in OPTIONS if option.env in dict(rows)}


@pytest.mark.parametrize("page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))])
def test_named_options_exist(page: str) -> None:
    """Whatever looks like an option in a document is one."""
    named = set(re.findall(r"\b(?:CODER|COLLECTOR)_[A-Z_]+\b", (ROOT / page).read_text()))

    known = {option.env for option in OPTIONS} | {f"{prefix}_" for option in OPTIONS for prefix in option.numbered_env}
    assert named <= known


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_named_make_variables_exist(page: str) -> None:
    """What a document says after `make` is a target of the Makefile, with variables that it reads."""
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"\bmake ([a-z-]+)((?: [A-Z_]+=\S*)*)", _code((ROOT / page).read_text()))

    assert named
    assert {target for target, _ in named} <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = {name for _, given in named for name in re.findall(r"([A-Z_]+)=", given)}
    assert variables <= set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))


def _code(markdown: str) -> str:
    """The code of a document, inline and fenced."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", markdown, re.DOTALL))
