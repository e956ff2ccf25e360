"""Every command beside a running service, on both databases, and its misuse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import collector
from collector.__main__ import MODULES, main
from tests.postgres import PostgresServer
from tests.service import ROOT, Service, run_service

TOKEN = re.compile(r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}")
KEY = re.compile(r"[A-Za-z0-9]{20,}")
REPORT = b'{"csp-report":{"document-uri":"https://shop.example/","effective-directive":"img-src","blocked-uri":"data"}}'
STATS = "/api/v2/deployment/stats"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service of each kind for all commands."""
    options = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        options["CODER_PG_CONNECTION_URL"] = server.fresh_url()
    with run_service(tmp_path_factory.mktemp("service"), **options) as running:
        yield running


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("CODER_", "COLLECTOR_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def beside(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service; commands find its database in the environment."""
    for name in ("COLLECTOR_DATA_DIR", "CODER_PG_CONNECTION_URL"):
        if name in service.env:
            monkeypatch.setenv(name, service.env[name])
    return service


def status(service: Service, path: str, body: bytes | None = None, /, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(service.url + path, body, headers), timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "collector", *argv]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, check=False, capture_output=True, text=True, timeout=60)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    """What a command that succeeds prints, as lines."""
    assert main(argv) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


@pytest.mark.parametrize(("role", "expected"), [("owner", 200), ("auditor", 200), ("member", 403)])
def test_a_user_and_its_token(beside: Service, capsys: pytest.CaptureFixture[str], role: str, expected: int) -> None:
    """A user made beside the service may do what its role says, with a token that works on the next request."""
    assert f"{role} a-{role}" in said(capsys, "user", "create", f"a-{role}", "--role", role)[0]
    lines = said(capsys, "token", "create", "--user", f"a-{role}", "--quiet")

    assert len(lines) == 1
    assert TOKEN.fullmatch(lines[0])
    assert status(beside, "/metrics", None, **{"Coder-Session-Token": lines[0]}) == expected


def test_a_token_is_explained_unless_quiet(beside: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --quiet the output says whose token it is and for how long; the token is its last line."""
    *words, token = said(capsys, "token", "create", "--user", "admin", "--lifetime", "2h")

    assert "admin" in words[0]
    assert "2h" in words[0]
    assert status(beside, "/api/v2/csp/violations", None, **{"Coder-Session-Token": token}) == 200


def test_a_browser_key(beside: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """A browser key of a new project works on the next request and opens CSP intake alone."""
    (key,) = said(capsys, "key", "create", "--project", "docs", "--kind", "browser", "--quiet")

    assert KEY.fullmatch(key)
    assert status(beside, f"/csp/reports?key={key}", REPORT) == 200
    assert "docs" in {violation["project"] for violation in beside.get("/api/v2/csp/violations")["results"]}
    assert status(beside, "/api/v2/ingest/agent-stats", b"[]", Authorization=f"Bearer {key}") == 403


def test_a_feed_key(beside: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """A feed key works on the next request, opens no CSP intake, and is shown with the word that it is shown once."""
    *words, key = said(capsys, "key", "create", "--project", "fleet", "--kind", "feed")

    assert "shown this once" in words[0]
    assert status(beside, "/api/v2/ingest/agent-stats", b"[]", Authorization=f"Bearer {key}") == 200
    assert status(beside, f"/csp/reports?key={key}", REPORT) == 403


def test_allowed_origins(beside: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """With --allowed-origin, which may be repeated, a report about another document is acknowledged and left out."""
    origins = ["--allowed-origin", "https://one.example", "--allowed-origin", "https://two.example"]
    (key,) = said(capsys, "key", "create", "--project", "listed", "--kind", "browser", "--quiet", *origins)

    for document in ("https://one.example/", "https://two.example/", "https://shop.example/"):
        body = REPORT.replace(b"https://shop.example/", document.encode())
        assert status(beside, f"/csp/reports?key={key}", body) == 200
    assert beside.total("collector_csp_dropped_reports_total", project="listed", reason="foreign_origin") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("token", "create", "--user", "admin", "--lifetime", "soon"),
        ("token", "create", "--user", "admin", "--lifetime", "0s"),
        ("token", "create", "--user", "admin", "--lifetime=-1h"),
        ("user", "create", "", "--role", "member"),
        ("user", "create", "no blanks", "--role", "member"),
        ("key", "create", "--project", "", "--kind", "feed"),
        ("key", "create", "--project", "docs", "--kind", "feed", "--allowed-origin", "https://one.example"),
        ("key", "create", "--project", "docs", "--kind", "browser", "--allowed-origin", "one.example/path"),
        ("key", "create", "--project", "docs", "--kind", "browser", "--allowed-origin", ""),
        ("csp", "explain", "/does/not/exist"),
        ("csp", "explain", "/"),
        ("simulate", "--browser-key", "b", "--feed-key", "f", "--duration", "soon"),
        ("simulate", "--browser-key", "b", "--feed-key", "f", "--duration=-5s"),
        ("simulate", "--browser-key", "b", "--feed-key", "f", "--workspaces=-1"),
        ("simulate", "--browser-key", "b", "--feed-key", "f", "--url", "nonsense"),
        ("simulate", "--browser-key", "b\x00\n" * 11, "--feed-key", "f" * 32),
        ("simulate", "--browser-key", "b" * 32, "--feed-key", "f" * 33),
        ("migrate", "--postgres-url", "mysql://x"),
    ],
    ids=" ".join,
)
def test_misuse(beside: Service, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    """What cannot be meant is one line on standard error and exit code 2."""
    assert beside.process.poll() is None
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("collector: ")


@pytest.mark.parametrize(
    "argv",
    [
        ("user", "create", "admin", "--role", "owner"),
        ("token", "create", "--user", "nobody"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done(beside: Service, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    """A name that is taken, or unknown, is one line and exit code 1."""
    assert beside.process.poll() is None
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("nonsense",),
        ("user",),
        ("user", "create", "x"),
        ("user", "create", "x", "--role", "king"),
        ("key", "create", "--project", "x", "--kind", "y"),
        ("token", "create"),
        ("migrate", "--cheque"),
        ("simulate", "--browser-key", "b", "--feed-key", "f", "--workspaces", "many"),
    ],
    ids=" ".join,
)
def test_what_argparse_refuses(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    """An unknown word, a missing one or a wrong choice is exit code 2; the last line says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_every_command_is_found_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The module that is loaded for a command declares it, and the help of them all lists each once."""
    for command in MODULES:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: collector {command} ")
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([\w-]+)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
    assert sorted(listed) == sorted(MODULES)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version is one line: the program and its version."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"collector {collector.__version__}\n"


def test_migrate(empty_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check says what is missing with exit code 1 and changes nothing; after the migration it is content with 0."""
    assert main(["migrate", "--check"]) == 1
    assert main(["user", "create", "x", "--role", "member"]) == 1
    captured = capsys.readouterr()
    assert captured.out
    assert "collector migrate" in captured.err
    assert list(empty_data.iterdir()) == []
    assert main(["migrate"]) == 0
    assert main(["migrate", "--check"]) == 0
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Up to date."
    assert main(["user", "create", "x", "--role", "member"]) == 0


def test_a_database_out_of_reach(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A PostgreSQL that does not answer is one line without its password, and exit code 1."""
    monkeypatch.setenv("CODER_PG_CONNECTION_URL", "postgres://me:hidden@127.0.0.1:1/x?sslmode=disable")
    for argv in (["migrate"], ["migrate", "--check"], ["user", "create", "x", "--role", "member"]):
        assert main(argv) == 1
        captured = capsys.readouterr()
        assert len(captured.err.splitlines()) == 1
        assert captured.err.startswith("collector: ")
        assert "hidden" not in captured.out + captured.err


def test_exit_codes_of_the_process(tmp_path: Path) -> None:
    """The process ends with the codes that the functions return."""
    data = str(tmp_path / "data")
    codes = [
        run(*argv, COLLECTOR_DATA_DIR=data).returncode
        for argv in (
            ["migrate", "--check"],
            ["migrate"],
            ["token", "create", "--user", "ann", "--lifetime", "x"],
            ["--version"],
        )
    ]
    assert codes == [1, 0, 2, 0]


def test_help_of_serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Help lists every option under the heading of its group, with its variable, and shows no value that is set."""
    monkeypatch.setenv("CODER_PG_CONNECTION_URL", "postgres://me:hidden@db.example/x")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "hidden" not in shown
    for words in ("Networking", "CODER_HTTP_ADDRESS", "--http-address", "COLLECTOR_DATA_DIR", "CODER_PG_CONNECTION_URL"):
        assert words in shown
    lines = shown.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("Networking"))
    listed = [number for number, line in enumerate(lines) if line.strip().startswith("--http-address")]
    assert listed[-1] > heading


def test_a_reader_may_stop_early() -> None:
    """A pipe that is closed before all is printed ends the command without a word."""
    command = [sys.executable, "-m", "collector", "config", "show"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["serve", "--verbos"], "--verbos (did you mean --verbose?)"),
        (["serve", "--postgress-url", "hunter2"], "--postgress-url (did you mean --postgres-url?) …"),
        (["serve", "--postgress-url=hunter2"], "--postgress-url (did you mean --postgres-url?)"),
        (["config", "show", "--http-adress", ":80"], "--http-adress (did you mean --http-address?) …"),
        (["token", "list", "--user", "admin", "--usr", "hunter2"], "--usr (did you mean --user?) …"),
        (["serve", "--hunter2hunter2"], "--hunter2hunter2"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_misspelt_flag(capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    """The nearest flag of that command is named, and what follows the misspelt one, perhaps a secret, is not."""
    with pytest.raises(SystemExit) as ended:
        main(argv)

    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"collector: error: unrecognized arguments: {said}"
