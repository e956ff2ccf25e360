"""/deployment/config of a running service, and that no secret is in anything which the service says."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.config.options import OPTIONS, Option
from collector.routes import ROUTES
from tests.inside import Inside, running
from tests.page import PAGE, differences
from tests.service import Service, run_service

PATH = "/api/v2/deployment/config"
MARKER = "m4rker"
SECRETS = [option for option in OPTIONS if option.secret]
# Those which nothing refuses, as nothing here uses them; and one that is within a structure.
MARKED = {option.env: f"{option.name} {MARKER}" for option in SECRETS if not option.setting} | {
    "CODER_EXTERNAL_AUTH_0_ID": "gh",
    "CODER_EXTERNAL_AUTH_0_CLIENT_SECRET": MARKER,
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Gives all that one command prints in an environment of its own."""
    for name in [name for name in os.environ if name.startswith(("CODER_", "COLLECTOR_"))]:
        monkeypatch.delenv(name)

    def printed(*argv: str, **env: str) -> str:
        with monkeypatch.context() as patch, suppress(SystemExit):
            for name, value in env.items():
                patch.setenv(name, value)
            main(argv)
        return "".join(capsys.readouterr())

    return printed


def body(service: Service, path: str) -> str:
    """What the admin gets from ``path``, whatever its status."""
    request = urllib.request.Request(service.url + path, headers={"Authorization": f"Bearer {service.admin_token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read().decode()


async def test_the_live_answer_has_the_page_s_structure(inside: Inside) -> None:
    """No key of the page is missing and no JSON type differs; the answer is the same bytes each time."""
    assert differences(PAGE["GET /deployment/config"], await inside.get(PATH)) == []

    async with inside.client.get(PATH, headers=inside.owner) as first, inside.client.get(PATH, headers=inside.owner) as second:
        assert await first.read() == await second.read()
        assert first.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_it_says_what_the_service_runs_with(tmp_path: Path) -> None:
    """The values are those of this process, with their sources."""
    async with running("sqlite", tmp_path, COLLECTOR_QUEUE_LIMIT="777", CODER_SSH_KEYGEN_ALGORITHM="ecdsa") as inside:
        found = await inside.get(PATH)

    by_name = {option["name"]: option for option in found["options"]}
    assert (by_name["Queue Limit"]["value"], by_name["Queue Limit"]["value_source"]) == (777, "env")
    assert found["config"]["ssh_keygen_algorithm"] == "ecdsa"


def test_no_secret_leaves_the_service(tmp_path: Path) -> None:
    """With a mark in every secret, nothing that the service answers or logs holds the mark."""
    with run_service(tmp_path, CODER_VERBOSE="true", **MARKED) as service:
        pages = [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path]
        answers = {path: body(service, path) for path in pages}
        sources = {option["name"]: option["value_source"] for option in service.get(PATH)["options"]}

    assert {sources[option.name] for option in SECRETS if not option.setting} == {"env"}
    assert len(answers[PATH]) > 100_000
    assert [path for path, body in answers.items() if MARKER in body] == []
    assert "without effect in this service" in service.log
    assert MARKER not in service.log


@pytest.mark.parametrize(
    "argv",
    [["serve", "--help"], ["serve", "--help-all"], ["config", "show"], ["config", "write"], ["serve", "--write-config"]],
    ids=" ".join,
)
def test_no_secret_is_printed(said: Callable[..., str], argv: list[str]) -> None:
    """Neither help nor the commands that print options show the mark, and show says that there is a secret."""
    printed = said(*argv, **MARKED, CODER_PG_CONNECTION_URL=f"postgres://ada:{MARKER}@db.example/collector")

    assert len(printed) > 1_000
    assert MARKER not in printed
    assert ("********" in printed) == (argv == ["config", "show"])


@pytest.mark.parametrize("option", SECRETS, ids=lambda option: option.label)
def test_no_secret_is_in_a_refusal(said: Callable[..., str], option: Option) -> None:
    """A secret that cannot be read, or stands under a wrong flag, is refused without being repeated."""
    unreadable = said("config", "show", f'--{option.flag}="{MARKER}\0')
    misspelt = [said("serve", f"--{option.flag}x", MARKER), said("serve", f"--{option.flag}x={MARKER}")]

    assert option.label in unreadable
    assert [f"--{option.flag}x" in printed for printed in misspelt] == [True, True]
    assert MARKER not in "".join([unreadable, *misspelt])


@pytest.mark.parametrize(
    "url",
    [f"sqlite:///{MARKER}", f"postgres://ada:{MARKER}@127.0.0.1:1/collector"],
    ids=["of another kind", "without an answer"],
)
def test_a_start_that_fails_names_no_secret(said: Callable[..., str], url: str, tmp_path: Path) -> None:
    """The line that says why the service does not start names the database, never its password."""
    printed = said("migrate", COLLECTOR_DATA_DIR=str(tmp_path), CODER_PG_CONNECTION_URL=url)

    assert "collector: " in printed
    assert MARKER not in printed


def test_a_structure_with_a_secret_is_refused_without_it(said: Callable[..., str]) -> None:
    """A provider that cannot be read may hold its secret: the text is not repeated."""
    printed = said("config", "show", "--external-auth-providers", f"[{{client_secret: {MARKER}, nam: x}}]")

    assert "external-auth-providers" in printed
    assert MARKER not in printed
