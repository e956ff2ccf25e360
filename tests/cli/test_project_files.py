"""``collector project``: forty sites from one file, and one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from collector.__main__ import main

FORTY = [{"name": f"site-{number}", "allowed_origins": [f"https://site-{number}.example"]} for number in range(40)]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A migrated database of its own."""
    monkeypatch.setenv("COLLECTOR_DATA_DIR", str(tmp_path / "data"))
    assert main(["migrate"]) == 0
    capsys.readouterr()


def file(tmp_path: Path, *projects: object) -> str:
    path = tmp_path / "projects.yaml"
    path.write_text(yaml.safe_dump({"projects": list(projects)}))
    return str(path)


@pytest.mark.usefixtures("database")
def test_a_file_is_applied_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first time makes all of them, the second changes nothing, and then only what was changed in the file."""
    assert main(["project", "apply", file(tmp_path, *FORTY)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"created site-{number}" for number in range(40)]
    assert main(["project", "apply", file(tmp_path, *FORTY)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"unchanged site-{number}" for number in range(40)]
    main(["project", "list"])
    keys = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]

    changed = [{**FORTY[0], "retention_days": 30}, {**FORTY[1], "retired": True}, *FORTY[2:]]
    assert main(["project", "apply", file(tmp_path, *changed)]) == 0
    outcomes = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert outcomes == ["changed", "changed", *["unchanged"] * 38]
    main(["project", "list"])
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in listed] == keys, "a key in a site's headers is never replaced"
    assert [line.split("  ")[1] for line in listed if line.startswith("site-1 ")] == ["retired"]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Bad Name"},
        {"name": "b", "sample_rate": 2},
        {"name": "b", "samplerate": 1},
        {"name": "b", "allowed_origins": ["x"]},
        {"name": "a"},
        "b",
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: object) -> None:
    """One entry at fault is told in one line, and none of the others is made."""
    assert main(["project", "apply", file(tmp_path, {"name": "a"}, wrong)]) == 2
    assert capsys.readouterr().err.startswith("collector: ")
    main(["project", "list"])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("database")
def test_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A project is created with its key printed, listed as never seen, and retired."""
    assert main(["project", "create", "shop", "--allowed-origin", "https://shop.example"]) == 0
    key = capsys.readouterr().out.split()[-1]
    main(["project", "list"])
    assert capsys.readouterr().out == f"shop  never seen  0 open  observed 0 days  not ready  {key}\n"
    assert main(["project", "retire", "shop"]) == 0
    assert main(["project", "create", "shop"]) == 1
    assert main(["project", "retire", "nobody's"]) == 1
