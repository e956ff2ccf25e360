"""The house around the code: its floors, its sizes, its two commands and what must never be in it."""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.requirements import program

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PACKAGE = sorted((ROOT / "collector").rglob("*.py"))
SOURCES = [*PACKAGE, *sorted((ROOT / "migrations").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50

COMMANDS = {
    "setup",
    "run",
    "demo",
    "test",
    "test-all",
    "test-deps",
    "check",
    "sbom",
    "audit",
    "bench",
    "format",
    "clean",
    "help",
}
WORDS_FOR_ANYTHING = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc", "models", "services"}

# Something in a home or a checkout of somebody's; after a letter, a colon or a slash it is part of a URL instead, and a name
# of one letter is an example.
MACHINE_PATH = re.compile(r"(?<![\w.:/*~-])/(?:(?:root|work)|(?:home|Users)/[\w.-]{2,})/[\w.-]")
REGISTRY = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|crates\.io|docker\.(?:io|com)|ghcr\.io|quay\.io|gcr\.io|"
    r"mcr\.microsoft\.com|(?:deb|security)\.debian\.org|archive\.ubuntu\.com|proxy\.golang\.org)",
    re.IGNORECASE,
)
DOWNLOAD = re.compile(r"https?://[^\s\"'<>]+\.(?:whl|tar\.[gx]z|tgz|zip|deb|rpm|jar)\b|\bsha(?:256|512)[:-][0-9a-f]{64}")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """What a command printed and how it ended, started where a person would start it."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def own_files() -> Iterator[Path]:
    """Every file that belongs to the project: what ``.gitignore`` does not name."""
    ignored = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split() if not line.startswith("#"))]

    def kept(name: str) -> bool:
        return not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)

    for directory, directories, files in os.walk(ROOT):
        directories[:] = filter(kept, directories)
        yield from (Path(directory, name) for name in files if kept(name))


def found_in_own_files(pattern: re.Pattern[str]) -> list[str]:
    """Each place where ``pattern`` stands, as ``file:line: text``."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {found.group()}"
        for path in own_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        for found in pattern.finditer(line)
    ]


def makefile_targets() -> dict[str, str]:
    """Each target that a person calls, and its description."""
    lines = re.findall(r"^([a-z][a-z-]*):(?!=)([^\n]*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {target: rest.partition("## ")[2].strip() for target, rest in lines}


# ── The code ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_imports_go_down_only() -> None:
    """No module imports from a floor above its own, and none lacks a floor."""
    judged = run(BIN / "lint-imports", "--no-cache")

    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_module_says_what_it_promises() -> None:
    """Every module begins with a docstring."""
    assert [str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_files_fit_in_a_head() -> None:
    """No file of the package is longer than 300 lines."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in PACKAGE}

    assert {path: length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    """No function of the package is longer than 50 lines."""
    too_long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": length
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and (length := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES
    }

    assert too_long == {}


def test_a_pause_says_why() -> None:
    """No test waits for time to pass; one that asks another process again and again has its reason beside the pause."""
    paused = re.compile(r"\bsleep\((?!0\))")
    lines = [line for path in (ROOT / "tests").rglob("*.py") for line in path.read_text().splitlines() if paused.search(line)]

    assert len(lines) > 1
    assert [line for line in lines if "  # " not in line] == []


def test_no_module_is_named_for_anything() -> None:
    """A name that would fit everything describes nothing, so no module bears one."""
    assert [str(path.relative_to(ROOT)) for path in PACKAGE if {path.stem, path.parent.name} & WORDS_FOR_ANYTHING] == []


# ── What must never be in it ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, REGISTRY, DOWNLOAD], ids=["machine path", "registry host", "download address"]
)
def test_no_file_names_where_it_was_made(pattern: re.Pattern[str]) -> None:
    """A checkout works anywhere: no file holds a machine's paths, a registry's host name or an address to download from."""
    assert found_in_own_files(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE_PATH, "path: /" + "home/jane/collector"),
        (MACHINE_PATH, "#!/" + "root/.venv/bin/python"),
        (REGISTRY, "from: PyPI" + ".org"),
        (REGISTRY, "image: GHCR" + ".io/somebody/something"),
        (DOWNLOAD, '"resolved": "' + "https:" + '//example.test/left-pad-1.0.0.tgz"'),
    ],
)
def test_the_patterns_find_what_they_forbid(pattern: re.Pattern[str], line: str) -> None:
    """Each forbidden thing is recognized where it usually slips in."""
    assert pattern.search(line)


@pytest.mark.parametrize(
    "line", ["https://example.com/home/page", "file:///home/jane/page.html", "VOLUME /data", "HOME=/home/x"]
)
def test_not_every_path_is_a_machine_path(line: str) -> None:
    """A URL that a browser reports may have any path, and an example may have a home."""
    assert not MACHINE_PATH.search(line)


# ── The pins ───────────────────────────────────────────────────────────────────────────────────────────────────────
def pins() -> dict[str, str]:
    """The version each package is pinned to, by canonical name."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def declared() -> list[Requirement]:
    """What ``pyproject.toml`` asks for, extras included."""
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [Requirement(line) for line in asked]


def test_pins_are_plain() -> None:
    """Each line of the constraints is ``name==version``, in order, none twice, and none is part of the environment itself."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [line.partition("==")[0].lower() for line in lines]

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line)] == []
    assert names == sorted(set(names))
    assert not {"pip", "setuptools", PYPROJECT["project"]["name"]} & set(names)


def test_pins_agree_with_what_is_declared() -> None:
    """Every dependency of ``pyproject.toml`` is pinned, to a version that it allows."""
    pinned = pins()

    wrong = {str(asked) for asked in declared() if not asked.specifier.contains(pinned.get(canonicalize_name(asked.name), "0"))}

    assert wrong == set()


def test_pins_cover_what_dependencies_bring() -> None:
    """Whatever a dependency brings along is pinned too, and the tests run on just these versions."""
    pinned, open_ends, seen = pins(), declared(), set[tuple[str, str]]()
    while open_ends:
        asked = open_ends.pop()
        name = canonicalize_name(asked.name)
        for extra in ("", *asked.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            brought = [Requirement(line) for line in importlib.metadata.requires(name) or []]
            open_ends += [one for one in brought if one.marker is None or one.marker.evaluate({"extra": extra})]

    installed = {name: importlib.metadata.version(name) for name, _ in seen}

    assert {name: version for name, version in installed.items() if pinned.get(name) != version} == {}


# ── The commands ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_make_target_is_described() -> None:
    """``make help`` lists every command with what it does."""
    shown = run("make", "help").stdout
    listed = dict(re.findall(r"^  (\S+) +(\S.*)$", shown, re.MULTILINE))

    assert listed == makefile_targets()
    assert set(listed) >= COMMANDS


def test_a_stamp_saves_the_second_start_from_pip(tmp_path: Path) -> None:
    """``make run`` asks pip only when the pins or the dependencies are newer than the environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    plan = ("make", "--dry-run", "--directory", tmp_path, "run")

    assert "pip" in run(*plan).stdout

    (tmp_path / ".venv/.runtime").touch()
    assert "pip" not in run(*plan).stdout

    stamped = (tmp_path / ".venv/.runtime").stat().st_mtime
    os.utime(tmp_path / "constraints.txt", (stamped + 1, stamped + 1))
    assert "pip" in run(*plan).stdout


def test_ctrl_c_ends_make_run_without_an_error(tmp_path: Path) -> None:
    """On a terminal, Ctrl-C reaches the service, and ``make run`` ends with the service's own exit status 0."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    service = tmp_path / ".venv/bin/collector"
    service.parent.mkdir(parents=True)
    service.write_text("#!/bin/bash\ntrap 'echo drained; exit 0' INT\necho serving\nread -r\n")
    service.chmod(0o755)
    (service.parent / "python").touch()
    (tmp_path / ".venv/.runtime").touch()
    ours, terminal = os.openpty()

    def shown_until(word: bytes) -> bytes:
        shown = b""
        while word not in shown:
            shown += os.read(ours, 4096)
        return shown

    # What runs the tests in the background may have them ignore the signal, which bash then cannot trap.
    making = ["env", "--default-signal=INT", "setsid", "--ctty", "make", "--directory", str(tmp_path), "run"]
    with subprocess.Popen(making, stdin=terminal, stdout=terminal, stderr=terminal) as running:
        shown_until(b"serving")
        os.write(ours, b"\x03")
        shown_until(b"drained")
        assert running.wait(timeout=30) == 0
    os.close(terminal)
    os.close(ours)


@pytest.mark.parametrize(
    ("lacks", "said"),
    [("version_info", "Python 3.11 or newer is needed"), ("ensurepip", "apt-get install python3-venv")],
)
def test_an_unfit_python_is_refused_with_what_to_do(tmp_path: Path, lacks: str, said: str) -> None:
    """With a Python that is too old, or that cannot make environments, ``make setup`` says what is needed and makes nothing."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    unfit = tmp_path / "unfit-python"
    unfit.write_text(f'#!/bin/sh\ncase "$*" in *{lacks}*) exit 1;; esac\n')
    unfit.chmod(0o755)

    refused = run("make", "--directory", tmp_path, "setup", f"PYTHON={unfit}")

    assert refused.returncode != 0
    assert said in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_judgement_can_be_run() -> None:
    """``.ci/run`` is an executable script of valid bash that makes every required step a step, and CI calls it."""
    script = ROOT / ".ci/run"

    assert script.stat().st_mode & stat.S_IXUSR
    assert run("bash", "-n", script).returncode == 0
    steps = re.findall(r"^step \S+ make (\S+)$", script.read_text(), re.MULTILINE)
    assert [step for step in steps if step in ("test", "check", "test-all")] == ["test", "check", "test-all"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert ".ci/run" in [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("code", [0, 7])
def test_a_failing_step_fails_the_judgement(tmp_path: Path, code: int) -> None:
    """``.ci/run`` ends with the exit status of the first step that fails, and runs none after it."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_bytes((ROOT / ".ci/run").read_bytes())
    steps = "".join(f"{target}:\n\t@echo did {target}\n" for target in ("test-deps", "setup", "check", "test-all"))
    (tmp_path / "Makefile").write_text(f".SILENT:\n{steps}test:\n\t@exit {code}\n")

    judged = run("bash", tmp_path / ".ci/run")

    assert (judged.returncode != 0) == (code != 0)
    assert ("did test-all" in judged.stdout) == (code == 0)
    assert ("FAILED" in judged.stdout) == (code != 0)


def test_a_skip_is_a_failure_where_everything_is_required(tmp_path: Path) -> None:
    """Under ``REQUIRE_ALL=1`` a test that skips, and a module that skips itself, fail and keep their reasons."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.require_all"]\n')
    (tmp_path / "test_one.py").write_text("import pytest\ndef test_one() -> None:\n    pytest.skip('no browser here')\n")
    (tmp_path / "test_two.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")

    def outcome(require_all: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", tmp_path],
            cwd=ROOT,
            env={**os.environ, "REQUIRE_ALL": require_all, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    relaxed, strict = outcome("0"), outcome("1")

    assert "2 skipped" in relaxed.stdout
    assert relaxed.returncode == pytest.ExitCode.OK
    assert strict.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 error" in strict.stdout
    assert "no browser here" in strict.stdout
    assert "no_such_module" in strict.stdout


# ── What surrounds it ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.compose-spec", "docker-compose.yml"), ("vendor.github-workflows", ".github/workflows/ci.yml")],
)
def test_yaml_files_are_what_their_readers_expect(schema: str, file: str) -> None:
    """The compose file and the workflow follow their schemas."""
    judged = run(BIN / "check-jsonschema", "--builtin-schema", schema, file)

    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_compose_opens_nothing_to_the_network() -> None:
    """Every published port is bound to loopback, and every image but our own has a fixed version."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert [
        port for service in services.values() for port in service.get("ports", []) if not port.startswith("127.0.0.1:")
    ] == []
    assert [
        service["image"]
        for service in services.values()
        if "build" not in service and not re.search(r":v?\d[\w.-]*$", service["image"])
    ] == []


def test_prometheus_takes_its_configuration() -> None:
    """The real Prometheus accepts the scrape configuration that the compose file mounts."""
    judged = run(program("promtool"), "check", "config", ROOT / "dashboards/prometheus.yml")

    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_decisions_have_one_form() -> None:
    """Each decision is numbered without a gap and says its context, what was decided, and what follows."""
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))

    assert [path.name[:5] for path in decisions] == [f"{number:04}-" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        headings = re.findall(r"^#+ .*", path.read_text(), re.MULTILINE)
        assert headings[0].startswith(f"# {path.name[:4]}: "), path
        assert headings[1:] == ["## Context", "## Decision", "## Consequences"], path
